//! The grammar: recursive descent for what nests, precedence climbing for operators.

use std::sync::Arc;

use super::lex::{Token, negative_number, skip_blanks, token};
use super::{DEPTH_MAX, ParseError, Quoting, TEXT_MAX, TOKENS_MAX};
use crate::expr::{AttrRef, BinaryOp, Chain, Node, Select, SelectKind, UnaryOp};
use crate::func::Call;
use crate::func::time::{parse_abs_time, parse_rel_time};
use crate::name::Name;
use crate::{ClassAd, Expr, Value};

pub(super) fn parse(text: &str, quoting: Quoting) -> Result<Expr, ParseError> {
    if text.len() > TEXT_MAX {
        return Err(ParseError::TooLong { max: TEXT_MAX });
    }
    let mut parser = Parser { text, rest: text, next: None, quoting, depth: 0, tokens: 0 };
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
    tokens: usize,
}

type Parsed = Result<Expr, ParseError>;

impl<'t> Parser<'t> {
    /// `expression := binary [ "?" expression ":" expression ]`
    ///
    /// Functions that call themselves through nesting are kept small, each rare case in one of its own: their
    /// frames are what [`DEPTH_MAX`] multiplies.
    fn expression(&mut self) -> Parsed {
        self.deeper()?;
        let condition = self.binary(0)?;
        self.depth -= 1;
        match self.next {
            Some(Token::Punct("?")) => self.conditional(condition),
            _ => Ok(condition),
        }
    }

    fn conditional(&mut self, condition: Expr) -> Parsed {
        self.deeper()?;
        self.advance()?;
        let then = self.expression()?;
        self.expect(":")?;
        let otherwise = self.expression()?;
        self.depth -= 1;
        Ok(Expr(Node::Conditional(Arc::new([condition, then, otherwise]))))
    }

    /// Operators of at least the given precedence. Equal precedence makes one [`Chain`], not a tree.
    fn binary(&mut self, loosest: u8) -> Parsed {
        let mut left = self.unary()?;
        while let Some(op) = self.operator().filter(|op| op.precedence() >= loosest) {
            left = self.chain(left, op.precedence())?;
        }
        Ok(left)
    }

    fn chain(&mut self, first: Expr, precedence: u8) -> Parsed {
        self.deeper()?;
        let mut rest = Vec::new();
        while let Some(op) = self.operator().filter(|op| op.precedence() == precedence) {
            self.advance()?;
            let operand = self.binary(precedence + 1)?;
            rest.push((op, operand));
        }
        self.depth -= 1;
        Ok(Expr(Node::Chain(Arc::new(Chain { first, rest }))))
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
        match &self.next {
            Some(Token::Op(BinaryOp::Sub)) => self.minus(),
            Some(Token::Op(BinaryOp::Add)) => self.prefix(UnaryOp::Plus),
            Some(Token::Punct("!")) => self.prefix(UnaryOp::Not),
            Some(Token::Punct("~")) => self.prefix(UnaryOp::BitNot),
            _ => self.operand(),
        }
    }

    fn operand(&mut self) -> Parsed {
        let base = self.primary()?;
        self.postfix(base)
    }

    /// An operand that may be a negative number.
    fn unsigned(&mut self) -> Parsed {
        match &self.next {
            Some(Token::Op(BinaryOp::Sub)) if negative_number(&self.text[self.at()..]).is_ok() => self.minus(),
            _ => self.operand(),
        }
    }

    fn minus(&mut self) -> Parsed {
        match negative_number(&self.text[self.at()..]) {
            Ok((rest, Token::Number(number))) => {
                self.rest = rest;
                self.advance()?;
                self.postfix(Expr(Node::Literal(number)))
            }
            _ => self.prefix(UnaryOp::Minus),
        }
    }

    fn prefix(&mut self, op: UnaryOp) -> Parsed {
        self.deeper()?;
        self.advance()?;
        let operand = self.unary()?;
        self.depth -= 1;
        Ok(Expr(Node::Unary(op, Arc::new(operand))))
    }

    /// `.name`, `[index]` and `?: operand`, any number of them. Each is one level of the tree, so they count as
    /// nesting. That `?:` binds tighter than any other operator is HTCondor's choice: `2 * x ?: 4` is
    /// `2 * (x ?: 4)`, and its right side has no sign but that of a number.
    fn postfix(&mut self, mut base: Expr) -> Parsed {
        let outer = self.depth;
        while let Some(Token::Punct("." | ".." | "[" | "?:")) = self.next {
            self.deeper()?;
            base = self.step(base)?;
        }
        self.depth = outer;
        Ok(base)
    }

    fn step(&mut self, base: Expr) -> Parsed {
        if self.take("?:")? {
            let otherwise = self.unsigned()?;
            return Ok(Expr(Node::Elvis(Arc::new((base, otherwise)))));
        }
        if self.take("[")? {
            let index = self.expression()?;
            self.expect("]")?;
            return Ok(Expr(Node::Index(Arc::new((base, index)))));
        }
        self.advance()?;
        let name = self.name()?;
        Ok(select(base, name))
    }

    fn primary(&mut self) -> Parsed {
        match self.next {
            Some(Token::Word(word)) => self.word(word),
            Some(Token::Punct("(")) => self.paren(),
            Some(Token::Punct("{")) => self.list(),
            Some(Token::Punct("[")) => self.ad(),
            _ => self.leaf(),
        }
    }

    fn leaf(&mut self) -> Parsed {
        let leaf = match self.next.take() {
            Some(Token::Number(number)) => Expr(Node::Literal(number)),
            Some(Token::Str(text)) => Expr(Node::Literal(Value::Str(text.into()))),
            Some(Token::QuotedName(name)) => return self.quoted_name(&name),
            Some(Token::Punct("." | "..")) => {
                self.advance()?;
                let name = self.name()?;
                return Ok(Expr(Node::Attr(Arc::new(AttrRef { name, absolute: true }))));
            }
            other => {
                self.next = other;
                return Err(self.unexpected());
            }
        };
        self.advance()?;
        Ok(leaf)
    }

    /// A name in quotes, of an attribute or of a function.
    fn quoted_name(&mut self, name: &str) -> Parsed {
        self.advance()?;
        match self.next {
            Some(Token::Punct("(")) => self.call(name),
            _ => Ok(Expr::attribute(name)),
        }
    }

    fn paren(&mut self) -> Parsed {
        self.advance()?;
        let inner = self.expression()?;
        self.expect(")")?;
        Ok(Expr(Node::Paren(Arc::new(inner))))
    }

    fn list(&mut self) -> Parsed {
        self.advance()?;
        let items = self.arguments("}")?;
        Ok(Expr(Node::List(items.into())))
    }

    /// A word that is not an operator: a literal, a call or a name.
    fn word(&mut self, word: &'t str) -> Parsed {
        let literal = match reserved(word) {
            Some(Reserved::Literal(value)) => Some(value),
            Some(Reserved::Operator) => return Err(self.unexpected()),
            None => None,
        };
        self.advance()?;
        match literal {
            Some(value) => Ok(Expr(Node::Literal(value))),
            None if matches!(self.next, Some(Token::Punct("("))) => self.call(word),
            None => Ok(Expr::attribute(word)),
        }
    }

    fn call(&mut self, name: &str) -> Parsed {
        self.advance()?;
        let arguments = self.arguments(")")?;
        call_or_time(name, arguments)
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

    /// Attributes separated by semicolons in brackets. Empty ones are skipped.
    fn ad(&mut self) -> Parsed {
        self.advance()?;
        let mut ad = ClassAd::new();
        loop {
            while self.take(";")? {}
            if self.take("]")? {
                return Ok(Expr(Node::Ad(Arc::new(ad))));
            }
            let name = self.name()?;
            self.expect("=")?;
            ad.insert(name.text(), self.expression()?);
            if !matches!(self.next, Some(Token::Punct(";" | "]"))) {
                return Err(self.unexpected());
            }
        }
    }

    fn name(&mut self) -> Result<Name, ParseError> {
        let name = match &self.next {
            Some(Token::Word(word)) => {
                if reserved(word).is_some() {
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

    /// One level down. The way up is a plain `depth -= 1`: after an error nobody looks at it.
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
        self.tokens += 1;
        if self.tokens > TOKENS_MAX {
            return Err(ParseError::TooManyTokens { max: TOKENS_MAX });
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

enum Reserved {
    Literal(Value),
    Operator,
}

/// Words that are no names.
fn reserved(word: &str) -> Option<Reserved> {
    // The longest is `undefined`.
    if word.len() > 9 {
        return None;
    }
    Some(match word.to_ascii_lowercase().as_str() {
        "true" => Reserved::Literal(Value::Bool(true)),
        "false" => Reserved::Literal(Value::Bool(false)),
        "undefined" => Reserved::Literal(Value::Undefined),
        "error" => Reserved::Literal(Value::Error),
        "is" | "isnt" => Reserved::Operator,
        _ => return None,
    })
}

/// Times in text form are literals: a wrong one does not even parse.
fn call_or_time(name: &str, arguments: Vec<Expr>) -> Parsed {
    if let [Expr(Node::Literal(Value::Str(text)))] = &arguments[..] {
        let time = if name.eq_ignore_ascii_case("abstime") {
            Some(parse_abs_time(text, None).map(Value::AbsTime))
        } else if name.eq_ignore_ascii_case("reltime") {
            Some(parse_rel_time(text).map(Value::RelTime))
        } else {
            None
        };
        if let Some(time) = time {
            let value = time.ok_or_else(|| ParseError::BadTime { text: text.to_string() })?;
            return Ok(Expr(Node::Literal(value)));
        }
    }
    Ok(Expr(Node::Call(Arc::new(Call::new(name, arguments)))))
}
