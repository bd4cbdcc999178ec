//! The grammar: recursive descent for what nests, precedence climbing for operators.

use std::sync::Arc;

use super::lex::{Token, negative_number, skip_blanks, token};
use super::{DEPTH_MAX, ParseError, Quoting, TEXT_MAX};
use crate::expr::{AttrRef, BinaryOp, Chain, Node, Select, SelectKind, UnaryOp};
use crate::func::Call;
use crate::name::Name;
use crate::{ClassAd, Expr, Value};

pub(super) fn parse(text: &str, quoting: Quoting) -> Result<Expr, ParseError> {
    if text.len() > TEXT_MAX {
        return Err(ParseError::TooLong { max: TEXT_MAX });
    }
    let mut parser = Parser { text, rest: text, next: None, quoting, depth: 0 };
    parser.advance()?;
    let expr = parser.expression()?;
    match parser.next {
        None => Ok(expr),
        Some(_) => Err(parser.unexpected()),
    }
}

struct Parser<'t> {
    text: &'t str,
    /// What follows `next`.
    rest: &'t str,
    /// The token that decides; `None` at the end.
    next: Option<Token<'t>>,
    quoting: Quoting,
    depth: usize,
}

type Parsed = Result<Expr, ParseError>;

impl<'t> Parser<'t> {
    /// `expression := binary [ "?" expression? ":" expression ]`
    fn expression(&mut self) -> Parsed {
        self.nested(|parser| {
            let condition = parser.binary(0)?;
            if !parser.take("?")? {
                return Ok(condition);
            }
            if parser.take(":")? {
                let otherwise = parser.expression()?;
                return Ok(Expr(Node::Elvis(Arc::new((condition, otherwise)))));
            }
            let then = parser.expression()?;
            parser.expect(":")?;
            let otherwise = parser.expression()?;
            Ok(Expr(Node::Conditional(Arc::new([condition, then, otherwise]))))
        })
    }

    /// Operators of at least the given precedence. Equal precedence makes one [`Chain`], not a tree.
    fn binary(&mut self, loosest: u8) -> Parsed {
        let mut left = self.unary()?;
        while let Some(op) = self.operator().filter(|op| op.precedence() >= loosest) {
            let precedence = op.precedence();
            let mut rest = Vec::new();
            while let Some(op) = self.operator().filter(|op| op.precedence() == precedence) {
                self.advance()?;
                let operand = self.nested(|parser| parser.binary(precedence + 1))?;
                rest.push((op, operand));
            }
            left = Expr(Node::Chain(Arc::new(Chain { first: left, rest })));
        }
        Ok(left)
    }

    fn operator(&self) -> Option<BinaryOp> {
        match &self.next {
            Some(Token::Op(op)) => Some(*op),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("is") => Some(BinaryOp::Is),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("isnt") => Some(BinaryOp::Isnt),
            _ => None,
        }
    }

    fn unary(&mut self) -> Parsed {
        let op = match &self.next {
            Some(Token::Op(BinaryOp::Sub)) => {
                if let Ok((rest, Token::Number(number))) = negative_number(&self.text[self.at()..]) {
                    self.rest = rest;
                    self.advance()?;
                    return self.postfix(Expr(Node::Literal(number)));
                }
                UnaryOp::Minus
            }
            Some(Token::Op(BinaryOp::Add)) => UnaryOp::Plus,
            Some(Token::Punct("!")) => UnaryOp::Not,
            Some(Token::Punct("~")) => UnaryOp::BitNot,
            _ => {
                let base = self.primary()?;
                return self.postfix(base);
            }
        };
        self.advance()?;
        let operand = self.nested(Self::unary)?;
        Ok(Expr(Node::Unary(op, Arc::new(operand))))
    }

    /// `.name` and `[index]`, any number of them. Each is one level of the tree, so they count as nesting.
    fn postfix(&mut self, mut base: Expr) -> Parsed {
        let outer = self.depth;
        loop {
            self.deeper()?;
            if self.take(".")? || self.take("..")? {
                let name = self.name()?;
                base = select(base, name);
            } else if self.take("[")? {
                let index = self.expression()?;
                self.expect("]")?;
                base = Expr(Node::Index(Arc::new((base, index))));
            } else {
                self.depth = outer;
                return Ok(base);
            }
        }
    }

    fn primary(&mut self) -> Parsed {
        match self.next.take() {
            Some(Token::Number(number)) => {
                self.advance()?;
                Ok(Expr(Node::Literal(number)))
            }
            Some(Token::Str(text)) => {
                self.advance()?;
                Ok(Expr(Node::Literal(Value::Str(text.into()))))
            }
            Some(Token::Word(word)) => self.word(word),
            Some(Token::QuotedName(name)) => {
                self.advance()?;
                Ok(Expr::attribute(&name))
            }
            Some(Token::Punct("(")) => {
                self.advance()?;
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(Expr(Node::Paren(Arc::new(inner))))
            }
            Some(Token::Punct("{")) => {
                self.advance()?;
                let items = self.arguments("}")?;
                Ok(Expr(Node::List(items.into())))
            }
            Some(Token::Punct("[")) => {
                self.advance()?;
                self.ad()
            }
            Some(Token::Punct("." | "..")) => {
                self.advance()?;
                let name = self.name()?;
                Ok(Expr(Node::Attr(Arc::new(AttrRef { name, absolute: true }))))
            }
            other => {
                self.next = other;
                Err(self.unexpected())
            }
        }
    }

    /// A word that is not an operator: a literal, a call or a name.
    fn word(&mut self, word: &'t str) -> Parsed {
        let literal = match word.to_ascii_lowercase().as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "undefined" => Some(Value::Undefined),
            "error" => Some(Value::Error),
            "is" | "isnt" => {
                self.next = Some(Token::Word(word));
                return Err(self.unexpected());
            }
            _ => None,
        };
        self.advance()?;
        if let Some(literal) = literal {
            return Ok(Expr(Node::Literal(literal)));
        }
        if !self.take("(")? {
            return Ok(Expr::attribute(word));
        }
        let arguments = self.arguments(")")?;
        // Times in text form are literals: a wrong one does not even parse.
        if let [Expr(Node::Literal(Value::Str(text)))] = &arguments[..] {
            let literal = match word.to_ascii_lowercase().as_str() {
                "abstime" => Some(crate::func::time::parse_abs_time(text, None).map(Value::AbsTime)),
                "reltime" => Some(crate::func::time::parse_rel_time(text).map(Value::RelTime)),
                _ => None,
            };
            if let Some(literal) = literal {
                let value = literal.ok_or_else(|| ParseError::BadTime { text: text.to_string() })?;
                return Ok(Expr(Node::Literal(value)));
            }
        }
        Ok(Expr(Node::Call(Arc::new(Call::new(word, arguments)))))
    }

    /// Expressions separated by commas up to and with the closing bracket. The opening one is taken.
    fn arguments(&mut self, close: &'static str) -> Result<Vec<Expr>, ParseError> {
        let mut arguments = Vec::new();
        if self.take(close)? {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if !self.take(",")? {
                self.expect(close)?;
                return Ok(arguments);
            }
        }
    }

    /// Attributes separated by semicolons up to and with the closing bracket. Empty ones are skipped.
    fn ad(&mut self) -> Parsed {
        let mut ad = ClassAd::new();
        loop {
            while self.take(";")? {}
            if self.take("]")? {
                return Ok(Expr(Node::Ad(Arc::new(ad))));
            }
            let name = self.name()?;
            self.expect("=")?;
            let expr = self.expression()?;
            ad.insert(name.text(), expr);
            if !matches!(self.next, Some(Token::Punct(";" | "]"))) {
                return Err(self.unexpected());
            }
        }
    }

    fn name(&mut self) -> Result<Name, ParseError> {
        let name = match &self.next {
            Some(Token::Word(word)) => {
                let reserved = ["true", "false", "undefined", "error", "is", "isnt"];
                if reserved.iter().any(|r| r.eq_ignore_ascii_case(word)) {
                    return Err(self.unexpected());
                }
                Name::new(word)
            }
            Some(Token::QuotedName(name)) => Name::new(name),
            _ => return Err(self.unexpected()),
        };
        self.advance()?;
        Ok(name)
    }

    fn nested(&mut self, part: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        let outer = self.depth;
        self.deeper()?;
        let parsed = part(self);
        self.depth = outer;
        parsed
    }

    fn deeper(&mut self) -> Result<(), ParseError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(ParseError::TooDeep { max: DEPTH_MAX }) } else { Ok(()) }
    }

    fn take(&mut self, punct: &'static str) -> Result<bool, ParseError> {
        let found = matches!(&self.next, Some(Token::Punct(next)) if *next == punct);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, punct: &'static str) -> Result<(), ParseError> {
        if self.take(punct)? { Ok(()) } else { Err(self.unexpected()) }
    }

    fn advance(&mut self) -> Result<(), ParseError> {
        if let Ok((rest, ())) = skip_blanks(self.rest) {
            self.rest = rest;
        }
        if self.rest.is_empty() {
            self.next = None;
            return Ok(());
        }
        let at = self.text.len() - self.rest.len();
        let (rest, next) = token(self.rest, self.quoting).map_err(|_| ParseError::BadToken { at })?;
        self.rest = rest;
        self.next = Some(next);
        Ok(())
    }

    /// Offset of a minus sign that is the next token: it is one byte long.
    fn at(&self) -> usize {
        self.text.len() - self.rest.len() - 1
    }

    fn unexpected(&self) -> ParseError {
        match &self.next {
            None => ParseError::UnexpectedEnd,
            Some(token) => {
                // Only operators and punctuation are needed to find a place; the others speak for themselves.
                let found = match token {
                    Token::Word(word) => (*word).to_owned(),
                    Token::Op(op) => op.text_old().to_owned(),
                    Token::Punct(punct) => (*punct).to_owned(),
                    Token::Number(number) => number.to_string(),
                    Token::Str(text) | Token::QuotedName(text) => text.chars().take(40).collect(),
                };
                ParseError::Unexpected { at: self.text.len() - self.rest.len(), found }
            }
        }
    }
}

fn select(base: Expr, name: Name) -> Expr {
    let kind = match &base.0 {
        Node::Attr(attr) if !attr.absolute => match &**attr.name.lower() {
            "my" => SelectKind::My,
            "target" => SelectKind::Target,
            _ => SelectKind::Other,
        },
        _ => SelectKind::Other,
    };
    Expr(Node::Select(Arc::new(Select { base, name, kind })))
}
