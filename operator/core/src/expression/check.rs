//! The static check: what the expressions of a string read, and what is wrong with them.

use super::functions::{self, Function, GLOBAL, METHODS, TYPES};
use super::places::{self, COMMON, Place};
use super::syntax::{self, Node, Span, Step};
use super::template::{Part, TemplateFault, split};
use super::tokens::{Fault, plain_text};
use super::words::{instead, listed, nearest};
use super::{ExpressionCode, Finding, MAX_FINDINGS, STANDING_CREDENTIALS, Scope, Uses};

/// Checks the expressions of `text`: what they read, and what is wrong with them, at most [`MAX_FINDINGS`] and in order.
///
/// Takes time linear in the length of `text`, and no more stack than [`super::MAX_DEPTH`] asks for, whatever the text.
pub fn check(text: &str, scope: &Scope<'_>) -> (Uses, Vec<Finding>) {
    let mut uses = Uses::default();
    let mut findings = Vec::new();
    if !text.contains("${") {
        return (uses, findings);
    }
    let template = split(text);
    uses.exact = template.exact().is_some();
    for part in &template.parts {
        let Part::Expression { source, offset } = *part else { continue };
        uses.any = true;
        if findings.len() >= MAX_FINDINGS {
            uses.all_inputs = true;
            break;
        }
        match syntax::parse(source) {
            Ok(tree) => {
                let mut walk = Walk {
                    source,
                    base: offset,
                    scope,
                    uses: &mut uses,
                    findings: &mut findings,
                    locals: Vec::new(),
                };
                walk.node(&tree);
            }
            Err(fault) => {
                uses.all_inputs = true;
                findings.push(unparsed(fault, offset));
            }
        }
    }
    for fault in &template.faults {
        uses.any = true;
        uses.all_inputs = true;
        findings.push(unreadable(fault));
    }
    findings.sort_by_key(|finding| finding.offset);
    findings.truncate(MAX_FINDINGS);
    (uses, findings)
}

fn unparsed(fault: Fault, base: usize) -> Finding {
    Finding {
        code: ExpressionCode::BadExpression,
        offset: base + fault.start,
        len: (fault.end - fault.start).max(1),
        message: format!("the expression does not parse: {}", fault.what),
        label: fault.label.to_owned(),
        hint: fault.hint.map(str::to_owned),
    }
}

fn unreadable(fault: &TemplateFault) -> Finding {
    let (offset, len, message, label, hint) = match *fault {
        TemplateFault::Unclosed(offset) => (
            offset,
            2,
            "the expression has no closing `}`",
            "never closed",
            "a literal `${` is written `$${`",
        ),
        TemplateFault::Empty { offset, len } => {
            (offset, len, "the expression is empty", "nothing in it", "a literal `${` is written `$${`")
        }
    };
    Finding {
        code: ExpressionCode::BadExpression,
        offset,
        len,
        message: message.to_owned(),
        label: label.to_owned(),
        hint: Some(hint.to_owned()),
    }
}

/// The way through one tree.
struct Walk<'a, 's> {
    source: &'a str,
    base: usize,
    scope: &'a Scope<'s>,
    uses: &'a mut Uses,
    findings: &'a mut Vec<Finding>,
    /// The variables of the macros around, the innermost last.
    locals: Vec<&'a str>,
}

impl<'a> Walk<'a, '_> {
    fn node(&mut self, node: &Node) {
        match node {
            Node::Literal | Node::Text(_) => {}
            Node::Name(name) => self.named(*name, &[]),
            Node::Call { name, args, end } => self.function(*name, self.text(*name), args, *end),
            Node::Many(nodes) => nodes.iter().for_each(|node| self.node(node)),
            Node::Chain { root, steps } => self.chain(root, steps),
        }
    }

    fn chain(&mut self, root: &Node, steps: &[Step]) {
        let mut rest = steps;
        match (root, steps) {
            (Node::Name(name), [Step::Call { name: member, args, end }, ..])
                if functions::is_namespace(self.text(*name)) && !self.is_local(*name) =>
            {
                let full = format!("{}.{}", self.text(*name), self.text(*member));
                self.function((name.0, member.1), &full, args, *end);
                rest = &steps[1..];
            }
            (Node::Name(name), _) => self.named(*name, steps),
            _ => self.node(root),
        }
        for step in rest {
            match step {
                Step::Field { .. } => {}
                Step::Index { index, .. } => self.node(index),
                Step::Call { name, args, end } => self.method(*name, args, *end),
            }
        }
    }

    /// A name and what is selected from it.
    fn named(&mut self, span: Span, steps: &[Step]) {
        let name = self.text(span);
        if self.is_local(span) || (TYPES.contains(&name) && !self.scope.place.has(name)) {
            return;
        }
        if !self.scope.place.has(name) {
            return self.unknown_name(span, steps);
        }
        if !self.uses.reads(name) {
            self.uses.names.insert(name.to_owned());
        }
        let key = steps.first().and_then(|step| self.key(step));
        match (name, key) {
            ("input", Some((key, end))) => self.input(key, (span.0, end)),
            ("input", None) => self.uses.all_inputs = true,
            ("credentials", Some((key, end))) => self.credential(key, (span.0, end)),
            ("webhooks", Some((key, end))) => self.webhook(key, (span.0, end), steps.get(1)),
            (_, Some((key, end))) => {
                if let Some(fields) = places::fields(name).filter(|fields| !fields.contains(&key)) {
                    let message = format!("`{name}` has no field `{key}`");
                    let hint = instead(key, "its fields", fields.iter().copied());
                    self.find(
                        ExpressionCode::UnknownName,
                        (span.0, end),
                        message,
                        "unknown field",
                        Some(hint),
                    );
                }
            }
            (_, None) => {}
        }
    }

    /// The key a step selects by, where it is written out, and where the step ends.
    fn key(&self, step: &Step) -> Option<(&'a str, usize)> {
        match step {
            Step::Field { name, .. } => Some((self.text(*name), name.1)),
            Step::Index { index: Node::Text(literal), end } => Some((plain_text(self.text(*literal))?, *end)),
            Step::Index { .. } | Step::Call { .. } => None,
        }
    }

    fn input(&mut self, key: &str, span: Span) {
        self.uses.inputs.insert(key.to_owned());
        let Some(inputs) = self.scope.inputs.filter(|inputs| !inputs.contains(key)) else { return };
        let message = format!("the inputSchema of {} has no property `{key}`", self.scope.owner);
        let hint = instead(key, "its properties", inputs.iter().map(String::as_str));
        self.find(ExpressionCode::UnknownInput, span, message, "unknown input", Some(hint));
    }

    fn credential(&mut self, key: &str, span: Span) {
        self.uses.credentials.insert(key.to_owned());
        let known = self.scope.credentials;
        if known.contains(key) || STANDING_CREDENTIALS.contains(&key) {
            return;
        }
        let standing = STANDING_CREDENTIALS.iter().copied().filter(|name| !known.contains(*name));
        let all: Vec<&str> = known.iter().map(String::as_str).chain(standing).collect();
        let message = format!("the credentialSchema has no field `{key}`");
        let hint = instead(key, "the known credentials", all.into_iter());
        self.find(ExpressionCode::UnknownCredential, span, message, "unknown credential", Some(hint));
    }

    fn webhook(&mut self, id: &str, span: Span, next: Option<&Step>) {
        self.uses.webhooks.insert(id.to_owned());
        if !self.scope.webhooks.contains(id) {
            let message = format!("there is no webhook `{id}`");
            let hint = instead(id, "the webhooks", self.scope.webhooks.iter().map(String::as_str));
            return self.find(ExpressionCode::UnknownReference, span, message, "unknown webhook", Some(hint));
        }
        if let Some((field, end)) = next.and_then(|step| self.key(step)).filter(|(field, _)| *field != "url")
        {
            let message = format!("`webhooks.{id}` has no field `{field}`");
            let hint = Some("its fields are only `url`".to_owned());
            self.find(ExpressionCode::UnknownName, (span.0, end), message, "unknown field", hint);
        }
    }

    fn unknown_name(&mut self, span: Span, steps: &[Step]) {
        let name = self.text(span);
        let place = self.scope.place;
        let mut names: Vec<&str> =
            COMMON.iter().chain(place.names()).copied().chain(self.locals.iter().copied()).collect();
        names.sort_unstable();
        names.dedup();
        let near = nearest(name, names.iter().copied());
        let whole = functions::find(GLOBAL, name).is_some();
        let hint = if place == Place::SignatureWhen && Place::Signature.has(name) {
            "it is decided before anything that was sent is believed".to_owned()
        } else if let Some(near) = near {
            format!("did you mean `{near}`?")
        } else if whole || (functions::is_namespace(name) && !steps.is_empty()) {
            format!("`{name}` is a function: it is called with parentheses")
        } else {
            format!("its names are {}", listed(names.into_iter()))
        };
        let message = if places::is_name(name) {
            format!("`{name}` cannot be read in {}", place.noun())
        } else {
            format!("there is no name `{name}` in {}", place.noun())
        };
        self.find(ExpressionCode::UnknownName, span, message, "unknown name", Some(hint));
    }

    fn function(&mut self, span: Span, name: &str, args: &[Node], end: usize) {
        match functions::find(GLOBAL, name) {
            Some(function) => {
                self.arity(function, args.len(), (span.0, end));
                if name == "has" && args.len() == 1 && !selects(&args[0]) {
                    let message = "`has` asks for a field: `has(x.y)`".to_owned();
                    let hint = Some("for a key in brackets write `'key' in x`".to_owned());
                    self.find(
                        ExpressionCode::BadExpression,
                        (span.0, end),
                        message,
                        "no field selected",
                        hint,
                    );
                }
            }
            None => {
                let hint = functions::find(METHODS, name)
                    .map(|_| format!("it is called on a value: `x.{name}(…)`"))
                    .or_else(|| functions::elsewhere(name).map(str::to_owned));
                self.unknown_function(span, name, hint, GLOBAL);
            }
        }
        args.iter().for_each(|arg| self.node(arg));
    }

    fn method(&mut self, span: Span, args: &[Node], end: usize) {
        let name = self.text(span);
        let Some(method) = functions::find(METHODS, name) else {
            let hint = functions::find(GLOBAL, name)
                .map(|_| format!("it is not called on a value: `{name}(…)`"))
                .or_else(|| functions::elsewhere(name).map(str::to_owned));
            self.unknown_function(span, name, hint, METHODS);
            return args.iter().for_each(|arg| self.node(arg));
        };
        let right = self.arity(method, args.len(), (span.0, end));
        let (variable, rest) = match args.split_first() {
            Some((Node::Name(variable), rest)) if method.binds => (variable, rest),
            _ => {
                if right && method.binds {
                    let message =
                        format!("the first argument of `{name}` names a variable: `x.{name}(item, …)`");
                    self.find(
                        ExpressionCode::BadExpression,
                        (span.0, end),
                        message,
                        "no variable named",
                        None,
                    );
                }
                return args.iter().for_each(|arg| self.node(arg));
            }
        };
        self.locals.push(self.text(*variable));
        rest.iter().for_each(|arg| self.node(arg));
        self.locals.pop();
    }

    fn unknown_function(&mut self, span: Span, name: &str, hint: Option<String>, table: &'static [Function]) {
        let hint = hint.or_else(|| {
            if let Some((namespace, member)) = name.split_once('.') {
                let inside =
                    |function: &'static Function| function.name.strip_prefix(namespace)?.strip_prefix('.');
                let members: Vec<&str> = table.iter().filter_map(inside).collect();
                return Some(instead(
                    member,
                    &format!("the functions of `{namespace}`"),
                    members.into_iter(),
                ));
            }
            let near = nearest(name, table.iter().map(|function| function.name))?;
            Some(format!("did you mean `{near}`?"))
        });
        let message = format!("there is no function `{name}`");
        self.find(ExpressionCode::UnknownFunction, span, message, "unknown function", hint);
    }

    /// Whether the number of arguments is right; a finding if not.
    fn arity(&mut self, function: &Function, found: usize, span: Span) -> bool {
        let Function { name, least, most, .. } = *function;
        let right = (least..=most).contains(&found);
        if !right {
            let wanted = match (least, most) {
                (1, 1) => "1 argument".to_owned(),
                (least, usize::MAX) => format!("at least {least}"),
                (least, most) if least == most => format!("{least} arguments"),
                (least, most) => format!("{least} to {most} arguments"),
            };
            let message = format!("`{name}` takes {wanted}, not {found}");
            self.find(ExpressionCode::BadExpression, span, message, "wrong number of arguments", None);
        }
        right
    }

    fn find(&mut self, code: ExpressionCode, span: Span, message: String, label: &str, hint: Option<String>) {
        if self.findings.len() < MAX_FINDINGS {
            let (offset, len) = (self.base + span.0, span.1 - span.0);
            self.findings.push(Finding { code, offset, len, message, label: label.to_owned(), hint });
        }
    }

    fn is_local(&self, name: Span) -> bool {
        self.locals.contains(&self.text(name))
    }

    fn text(&self, span: Span) -> &'a str {
        &self.source[span.0..span.1]
    }
}

/// Whether this is a field selected by name, which is all that `has()` can ask for.
fn selects(node: &Node) -> bool {
    match node {
        Node::Chain { steps, .. } => matches!(steps.last(), Some(Step::Field { optional: false, .. })),
        _ => false,
    }
}
