//! CEL's grammar: a source becomes a tree in which only what a static check asks for is kept. Operators are all alike to it, so
//! `a + b * c` is three nodes side by side.

use super::tokens::{Fault, Kind, Token, Tokens};
use super::{MAX_DEPTH, MAX_LENGTH};

/// The tallest tree that is accepted, counting a step for each operator, selection and call on the way down. The evaluator walks
/// its trees by recursion, and `a.b.c.d` is one branch to it.
pub(super) const MAX_HEIGHT: usize = 256;

/// A range of bytes of the source.
pub(super) type Span = (usize, usize);

/// An expression.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A number, bytes, `true`, `false` or `null`.
    Literal,
    /// A string literal.
    Text(Span),
    /// A name by itself.
    Name(Span),
    /// A call of a function that is not called on anything.
    Call { name: Span, args: Vec<Node>, end: usize },
    /// Operands, elements or entries.
    Many(Vec<Node>),
    /// Something followed by selections, indexes and calls.
    Chain { root: Box<Node>, steps: Vec<Step> },
}

/// One link of a [`Node::Chain`]; `end` is where it ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// `.name`, or `.?name`.
    Field { name: Span, optional: bool },
    /// `[index]`, or `[?index]`.
    Index { index: Node, end: usize },
    /// `.name(args)`.
    Call { name: Span, args: Vec<Node>, end: usize },
}

impl Step {
    pub(super) fn end(&self) -> usize {
        match self {
            Step::Field { name, .. } => name.1,
            Step::Index { end, .. } | Step::Call { end, .. } => *end,
        }
    }
}

/// A tree and its height.
type Tree = (Node, usize);

/// Reads `source` as one expression.
pub(super) fn parse(source: &str) -> Result<Node, Fault> {
    if source.len() > MAX_LENGTH {
        let what = format!("it has {} bytes, and {MAX_LENGTH} are allowed", source.len());
        return Err(Fault::new(0, source.len(), what, "too long"));
    }
    let mut tokens = Tokens::new(source);
    let ahead = tokens.next()?;
    let mut parser = Parser { source, tokens, ahead, depth: 0 };
    let (node, _) = parser.expression()?;
    match parser.ahead.kind {
        Kind::End => Ok(node),
        _ => Err(parser.unexpected("expected the end or an operator")),
    }
}

struct Parser<'a> {
    source: &'a str,
    tokens: Tokens<'a>,
    ahead: Token,
    depth: usize,
}

const OPERATORS: [&str; 13] = ["<", "<=", ">=", ">", "==", "!=", "*", "/", "%", "+", "-", "&&", "||"];

const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

impl Parser<'_> {
    /// `condition ? this : that`, or an operation.
    fn expression(&mut self) -> Result<Tree, Fault> {
        if self.depth == MAX_DEPTH {
            let what = format!("it nests deeper than {MAX_DEPTH}");
            return Err(Fault::new(self.ahead.start, self.ahead.end, what, "too deep"));
        }
        self.depth += 1;
        let mut tree = self.operation()?;
        if self.take("?")? {
            let chained = self.ahead.kind == Kind::Sign(".");
            let (this, this_height) = self.operation()?;
            self.expect(":", "expected `:` and what it is otherwise").map_err(|fault| {
                if chained { fault.with_hint(Some("an optional selection is written `x.?y`")) } else { fault }
            })?;
            let (that, that_height) = self.expression()?;
            tree = self.joined(vec![tree.0, this, that], tree.1.max(this_height).max(that_height) + 1)?;
        }
        self.depth -= 1;
        Ok(tree)
    }

    fn operation(&mut self) -> Result<Tree, Fault> {
        let (first, mut height) = self.unary()?;
        if !self.at_operator() {
            return Ok((first, height));
        }
        let mut operands = vec![first];
        while self.at_operator() {
            self.advance()?;
            let (operand, operand_height) = self.unary()?;
            operands.push(operand);
            height = height.max(operand_height) + 1;
        }
        self.joined(operands, height)
    }

    fn at_operator(&self) -> bool {
        match self.ahead.kind {
            Kind::Sign(sign) => OPERATORS.contains(&sign),
            Kind::Name => self.text(self.ahead) == "in",
            _ => false,
        }
    }

    /// `!!x`, `--x` or a member; the two signs do not mix, but a number may have its own.
    fn unary(&mut self) -> Result<Tree, Fault> {
        let Kind::Sign(sign @ ("!" | "-")) = self.ahead.kind else { return self.member() };
        let mut negated = false;
        while self.ahead.kind == Kind::Sign(sign) {
            self.advance()?;
            negated = sign == "-";
        }
        if sign == "!" && self.take("-")? {
            if !matches!(self.ahead.kind, Kind::Number | Kind::LeastInteger) {
                return Err(self.unexpected("expected a number"));
            }
            negated = true;
        }
        if negated && self.ahead.kind == Kind::LeastInteger {
            self.advance()?;
            return self.steps((Node::Literal, 1), 0);
        }
        let (node, height) = self.member()?;
        Ok((node, height + 1))
    }

    fn member(&mut self) -> Result<Tree, Fault> {
        let start = self.ahead.start;
        let root = self.primary()?;
        self.steps(root, start)
    }

    fn steps(&mut self, root: Tree, start: usize) -> Result<Tree, Fault> {
        let (root, mut height) = root;
        let mut steps = Vec::new();
        loop {
            height += 1;
            if self.take(".")? {
                let optional = self.take("?")?;
                let name = self.name("expected a name")?;
                if !optional && self.take("(")? {
                    let (args, args_height, end) = self.until(")", false)?;
                    height = height.max(args_height + 1);
                    steps.push(Step::Call { name, args, end });
                } else {
                    steps.push(Step::Field { name, optional });
                }
            } else if self.take("[")? {
                self.take("?")?;
                let (index, index_height) = self.expression()?;
                let end = self.expect("]", "expected `]`")?;
                height = height.max(index_height + 1);
                steps.push(Step::Index { index, end });
            } else {
                break;
            }
        }
        if steps.is_empty() {
            return Ok((root, height - 1));
        }
        let end = steps.last().map_or(start, Step::end);
        self.bounded(Node::Chain { root: Box::new(root), steps }, height, (start, end))
    }

    fn primary(&mut self) -> Result<Tree, Fault> {
        let token = self.ahead;
        let span = (token.start, token.end);
        match token.kind {
            Kind::Number | Kind::Bytes => {
                self.advance()?;
                Ok((Node::Literal, 1))
            }
            Kind::Text => {
                self.advance()?;
                Ok((Node::Text(span), 1))
            }
            Kind::LeastInteger => {
                Err(Fault::new(token.start, token.end, "the number is out of range", "out of range"))
            }
            Kind::Sign("(") => {
                self.advance()?;
                let inner = self.expression()?;
                self.expect(")", "expected `)`")?;
                Ok(inner)
            }
            Kind::Sign("[") => {
                self.advance()?;
                let (elements, height, _) = self.until("]", true)?;
                self.joined(elements, height + 1)
            }
            Kind::Sign("{") => self.map(),
            Kind::Sign(".") => {
                self.advance()?;
                self.named()
            }
            Kind::Name => match self.text(token) {
                "true" | "false" | "null" => {
                    self.advance()?;
                    Ok((Node::Literal, 1))
                }
                _ => self.named(),
            },
            _ => Err(self.unexpected("expected an expression")),
        }
    }

    /// A name, or a call of a function.
    fn named(&mut self) -> Result<Tree, Fault> {
        let name = self.name("expected a name")?;
        let text = &self.source[name.0..name.1];
        if RESERVED.contains(&text) {
            return Err(Fault::new(name.0, name.1, format!("`{text}` is a reserved word"), "reserved word"));
        }
        if self.take("(")? {
            let (args, height, end) = self.until(")", false)?;
            return Ok((Node::Call { name, args, end }, height + 1));
        }
        Ok((Node::Name(name), 1))
    }

    /// Expressions up to `close`; a literal may end in a comma and mark elements as optional.
    fn until(&mut self, close: &'static str, literal: bool) -> Result<(Vec<Node>, usize, usize), Fault> {
        let mut nodes = Vec::new();
        let mut height = 0;
        let end = self.ahead.end;
        if self.take(close)? {
            return Ok((nodes, height, end));
        }
        if literal && self.take(",")? {
            let end = self.expect(close, "expected `]`")?;
            return Ok((nodes, height, end));
        }
        loop {
            if literal {
                self.take("?")?;
            }
            let (node, node_height) = self.expression()?;
            nodes.push(node);
            height = height.max(node_height);
            let end = self.ahead.end;
            if self.take(close)? {
                return Ok((nodes, height, end));
            }
            self.expect(",", "expected `,` or the closing bracket")?;
            let end = self.ahead.end;
            if literal && self.take(close)? {
                return Ok((nodes, height, end));
            }
        }
    }

    fn map(&mut self) -> Result<Tree, Fault> {
        self.advance()?;
        let mut nodes = Vec::new();
        let mut height = 0;
        if self.take(",")? {
            self.expect("}", "expected `}`")?;
            return Ok((Node::Literal, 1));
        }
        while !self.take("}")? {
            self.take("?")?;
            let (key, key_height) = self.expression()?;
            self.expect(":", "expected `:` and a value")?;
            let (value, value_height) = self.expression()?;
            nodes.extend([key, value]);
            height = height.max(key_height).max(value_height);
            if !self.take(",")? {
                self.expect("}", "expected `,` or `}`")?;
                break;
            }
        }
        self.joined(nodes, height + 1)
    }

    fn joined(&self, nodes: Vec<Node>, height: usize) -> Result<Tree, Fault> {
        self.bounded(Node::Many(nodes), height, (0, self.ahead.start))
    }

    fn bounded(&self, node: Node, height: usize, span: Span) -> Result<Tree, Fault> {
        if height > MAX_HEIGHT {
            let what = format!("it has more than {MAX_HEIGHT} steps in one row");
            return Err(Fault::new(span.0, span.1, what, "too many steps"));
        }
        Ok((node, height))
    }

    fn text(&self, token: Token) -> &str {
        &self.source[token.start..token.end]
    }

    fn advance(&mut self) -> Result<(), Fault> {
        self.ahead = self.tokens.next()?;
        Ok(())
    }

    fn take(&mut self, sign: &str) -> Result<bool, Fault> {
        let here = matches!(self.ahead.kind, Kind::Sign(found) if found == sign);
        if here {
            self.advance()?;
        }
        Ok(here)
    }

    /// Takes `sign` and says where it ended.
    fn expect(&mut self, sign: &str, label: &'static str) -> Result<usize, Fault> {
        let end = self.ahead.end;
        if self.take(sign)? { Ok(end) } else { Err(self.unexpected(label)) }
    }

    fn name(&mut self, label: &'static str) -> Result<Span, Fault> {
        if self.ahead.kind != Kind::Name || matches!(self.text(self.ahead), "in" | "true" | "false" | "null")
        {
            return Err(self.unexpected(label));
        }
        let span = (self.ahead.start, self.ahead.end);
        self.advance()?;
        Ok(span)
    }

    fn unexpected(&self, label: &'static str) -> Fault {
        let Token { kind, start, end } = self.ahead;
        let text = &self.source[start..end];
        let before = self.source[..start].trim_end();
        let hint = match text {
            "and" => Some("write `&&`"),
            "or" => Some("write `||`"),
            "not" => Some("write `!`"),
            "?" if before.ends_with('?') => Some("a fallback is written `x.?y.orValue(z)`"),
            "{" => Some("CEL here has no messages; a map is `{'key': value}`"),
            "in" | "true" | "false" | "null" if before.ends_with('.') => {
                Some("write the key in brackets: `x['in']`")
            }
            _ => None,
        };
        let what = match kind {
            Kind::End => "it ends too early".to_owned(),
            Kind::Text | Kind::Bytes => "a string stands where none can".to_owned(),
            _ => format!("`{text}` cannot stand here"),
        };
        // At the end there is nothing to point at but the last character.
        let (start, end) = match (kind, before.chars().last()) {
            (Kind::End, Some(last)) => (before.len() - last.len_utf8(), before.len()),
            _ => (start, end),
        };
        Fault::new(start, end, what, label).with_hint(hint)
    }
}
