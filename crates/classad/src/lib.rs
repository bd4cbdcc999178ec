//! ClassAd values, parser, evaluator and printers.
