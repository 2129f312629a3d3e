//! Whether one JSON Schema accepts all that another accepts.
//!
//! The answer is sound, not complete: `Ok` is a proof, and where nothing can be proved the answer is the first keyword that
//! stands in the way. Schemas are bundled ones: a `$ref` points into its own root.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::Value;

use super::facts::{
    Facts, Given, Keywords, accepts_all, constants, definitions, facts, is_annotation, names, order, plain,
    refers, same,
};

/// Deeper schemas are not compared.
const MAX_DEPTH: usize = 40;
/// Steps of one comparison: pairs that are proved, and values that are compared.
const MAX_STEPS: usize = 200_000;

/// Where a proof ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Obstacle {
    /// JSON pointer into the values: names of properties, `*` for the items of a list.
    pub(super) at: String,
    /// The keyword that may be broken.
    pub(super) keyword: String,
}

/// What is to be thought of properties that a schema leaves open and does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// None that `inner` does not name ever come: nobody gives an input that is not offered.
    Never,
    /// Those that `outer` does not name are welcome: nobody minds another output.
    Welcome,
}

/// Proves that `outer` accepts whatever `inner` accepts.
pub(super) fn accepts(outer: &Value, inner: &Value, unnamed: Unnamed) -> Result<(), Obstacle> {
    let mut proof = Proof {
        outer,
        inner,
        unnamed,
        same_defs: definitions(outer) == definitions(inner),
        assumed: HashSet::new(),
        trail: Vec::new(),
        steps: 0,
    };
    proof.accepts(outer, inner, &Place { at: String::new(), depth: 0, branch: false })
}

/// Where a comparison is.
struct Place {
    at: String,
    depth: usize,
    /// One branch of several is looked at: what stands beside it may name more properties.
    branch: bool,
}

impl Place {
    fn below(&self, name: &str) -> Self {
        let name = name.replace('~', "~0").replace('/', "~1");
        Self { at: format!("{}/{name}", self.at), depth: self.depth + 1, branch: false }
    }

    fn here(&self) -> Self {
        Self { at: self.at.clone(), depth: self.depth + 1, branch: false }
    }

    fn branch(&self) -> Self {
        Self { branch: true, ..self.here() }
    }

    fn stuck(&self, keyword: &str) -> Obstacle {
        Obstacle { at: self.at.clone(), keyword: keyword.to_owned() }
    }
}

/// An outer and an inner schema, and whether they are looked at as a branch.
type Pair = (*const Value, *const Value, bool);

struct Proof<'a> {
    outer: &'a Value,
    inner: &'a Value,
    unnamed: Unnamed,
    /// A `$ref` says the same on both sides.
    same_defs: bool,
    /// Pairs that are proved, or are being proved: values are finite, so a pair may stand on itself.
    assumed: HashSet<Pair>,
    /// The same pairs in their order: what was proved under one that failed is proved no more.
    trail: Vec<Pair>,
    steps: usize,
}

impl<'a> Proof<'a> {
    fn accepts(&mut self, outer: &'a Value, inner: &'a Value, place: &Place) -> Result<(), Obstacle> {
        self.steps += 1;
        if place.depth > MAX_DEPTH || self.steps > MAX_STEPS {
            return Err(place.stuck("$ref"));
        }
        let pair = (std::ptr::from_ref(outer), std::ptr::from_ref(inner), place.branch);
        if !self.assumed.insert(pair) {
            return Ok(());
        }
        let before = self.trail.len();
        self.trail.push(pair);
        let proved = if self.equal(outer, inner) { Ok(()) } else { self.prove(outer, inner, place) };
        if proved.is_err() {
            for pair in self.trail.drain(before..) {
                self.assumed.remove(&pair);
            }
        }
        proved
    }

    /// They say the same, whatever they say.
    fn equal(&mut self, outer: &Value, inner: &Value) -> bool {
        self.steps += size(outer);
        self.steps <= MAX_STEPS && (self.same_defs || !refers(outer)) && plain(outer) == plain(inner)
    }

    fn prove(&mut self, outer: &'a Value, inner: &'a Value, place: &Place) -> Result<(), Obstacle> {
        let given = match facts(inner, self.inner, true) {
            Some(Facts::Never) => return Ok(()),
            Some(Facts::All(facts)) => Given::new(inner, facts),
            None => Given::new(inner, Vec::new()),
        };
        let wanted = match facts(outer, self.outer, false) {
            Some(Facts::All(facts)) => facts,
            Some(Facts::Never) => return Err(place.stuck("false")),
            None => return Err(place.stuck("$ref")),
        };
        let mut missing = None;
        for keywords in wanted {
            for (keyword, value) in keywords {
                if !is_annotation(keyword)
                    && !matches!(keyword.as_str(), "$ref" | "allOf")
                    && let Err(obstacle) = self.follows(keyword, value, keywords, &given, place)
                {
                    missing.get_or_insert(obstacle);
                }
            }
        }
        let Some(missing) = missing else { return Ok(()) };
        // Where one of several holds, it is enough that each of them is accepted.
        for choice in [given.said("anyOf"), given.said("oneOf")].concat() {
            let parts = choice.as_array().map(Vec::as_slice).unwrap_or_default();
            if !parts.is_empty()
                && parts.iter().all(|part| self.accepts(outer, part, &place.branch()).is_ok())
            {
                return Ok(());
            }
        }
        Err(missing)
    }

    /// One keyword of the outer schema follows from what is given.
    fn follows(
        &mut self,
        keyword: &str,
        value: &'a Value,
        beside: &'a Keywords,
        given: &Given<'a>,
        place: &Place,
    ) -> Result<(), Obstacle> {
        if given.never_has(keyword) {
            return Ok(());
        }
        let said = given.said(keyword);
        let only = |allowed: &[&Value]| {
            let among = |value: &&Value| allowed.iter().any(|other| same(other, value));
            given.values.as_ref().is_some_and(|values| values.iter().all(among))
        };
        let at_least = |least: &&Value| least.as_u64().zip(value.as_u64()).is_some_and(|(a, b)| a >= b);
        let at_most = |most: &&Value| most.as_u64().zip(value.as_u64()).is_some_and(|(a, b)| a <= b);
        let holds = match keyword {
            "type" => given.is_only(&names(value)),
            "enum" => only(&value.as_array().into_iter().flatten().collect::<Vec<_>>()),
            "const" => only(&[value]),
            "minimum" | "exclusiveMinimum" => bounded(value, keyword, Ordering::Greater, given),
            "maximum" | "exclusiveMaximum" => bounded(value, keyword, Ordering::Less, given),
            "multipleOf" => said.iter().any(|of| is_multiple(of, value)),
            "minLength" | "minItems" | "minProperties" => {
                value.as_u64() == Some(0) || said.iter().any(at_least)
            }
            "maxLength" | "maxItems" | "maxProperties" => said.iter().any(at_most),
            "uniqueItems" => *value == Value::Bool(false) || said.contains(&value),
            "required" => {
                let ensured: HashSet<&str> = said.into_iter().flat_map(names).collect();
                return match names(value).into_iter().find(|name| !ensured.contains(name)) {
                    Some(name) => Err(place.below(name).stuck(keyword)),
                    None => Ok(()),
                };
            }
            "properties" => return self.properties(value, given, place),
            "additionalProperties" | "unevaluatedProperties" if self.unnamed == Unnamed::Welcome => true,
            "additionalProperties" => return self.additional(value, beside, given, place),
            "items" if !value.is_array() && !is_tuple(beside) && !given.facts.iter().any(|f| is_tuple(f)) => {
                return self.one_of_all(value, &said, &place.below("*"), keyword);
            }
            "items" | "prefixItems" | "additionalItems" => {
                self.alike(&["items", "prefixItems", "additionalItems"], beside, &given.facts)
            }
            "contains" | "minContains" | "maxContains" => {
                self.alike(&["contains", "minContains", "maxContains"], beside, &given.facts)
            }
            // `then` and `else` mean nothing without it.
            "if" => self.alike(&["if", "then", "else"], beside, &given.facts),
            "then" | "else" => true,
            "anyOf" | "oneOf" => {
                self.alike(&[keyword], beside, &given.facts)
                    || constants(value).is_some_and(|values| only(&values))
                    // What fits one of `oneOf` may fit another as well, and is refused then.
                    || (keyword == "anyOf"
                        && value.as_array().into_iter().flatten().any(|part| {
                            self.accepts(part, given.schema, &place.branch()).is_ok()
                        }))
            }
            // They look at what all their neighbours saw.
            "unevaluatedProperties" | "unevaluatedItems" => {
                let all: Vec<&str> = beside.keys().map(String::as_str).collect();
                given
                    .facts
                    .iter()
                    .any(|facts| facts.len() == beside.len() && self.alike(&all, beside, &[facts]))
            }
            _ => self.alike(&[keyword], beside, &given.facts),
        };
        if holds { Ok(()) } else { Err(place.stuck(keyword)) }
    }

    /// No property comes that is not named.
    fn is_closed(&self, given: &Given<'_>, place: &Place) -> bool {
        self.unnamed == Unnamed::Never && !place.branch && given.names_all()
    }

    /// One fact says the same under all of these keywords.
    fn alike(&self, keywords: &[&str], wanted: &Keywords, facts: &[&Keywords]) -> bool {
        let alike = |facts: &&Keywords| {
            keywords.iter().all(|keyword| match (wanted.get(*keyword), facts.get(*keyword)) {
                (Some(a), Some(b)) => plain(a) == plain(b) && (self.same_defs || !refers(a)),
                (a, b) => a.is_none() && b.is_none(),
            })
        };
        facts.iter().any(alike)
    }

    /// Every property that the outer schema describes, the inner one describes as narrowly.
    fn properties(&mut self, wanted: &'a Value, given: &Given<'a>, place: &Place) -> Result<(), Obstacle> {
        for (name, outer) in wanted.as_object().into_iter().flatten() {
            let described: Vec<&'a Value> =
                given.facts.iter().filter_map(|facts| described(facts, name)).collect();
            if described.is_empty() && self.is_closed(given, place) {
                continue;
            }
            self.one_of_all(outer, &described, &place.below(name), "properties")?;
        }
        Ok(())
    }

    /// One of the inner schemas, all of which hold, is accepted.
    fn one_of_all(
        &mut self,
        outer: &'a Value,
        inner: &[&'a Value],
        place: &Place,
        keyword: &str,
    ) -> Result<(), Obstacle> {
        if accepts_all(outer) {
            return Ok(());
        }
        let mut first = None;
        for inner in inner {
            match self.accepts(outer, inner, place) {
                Ok(()) => return Ok(()),
                Err(obstacle) => first.get_or_insert(obstacle),
            };
        }
        Err(first.unwrap_or_else(|| place.stuck(keyword)))
    }

    /// What the outer schema does not name, it bounds.
    fn additional(
        &mut self,
        bound: &'a Value,
        beside: &'a Keywords,
        given: &Given<'a>,
        place: &Place,
    ) -> Result<(), Obstacle> {
        if accepts_all(bound) {
            return Ok(());
        }
        let named = |name: &str| beside.get("properties").is_some_and(|own| own.get(name).is_some());
        let mut first = None;
        for facts in &given.facts {
            let rest = facts.get("additionalProperties");
            let rest = rest.or((self.is_closed(given, place)).then_some(&Value::Bool(false)));
            let bounded = match rest {
                Some(rest) if self.alike(&["patternProperties"], beside, &[facts]) => {
                    let more = facts.get("properties").and_then(Value::as_object).into_iter().flatten();
                    let more = more
                        .filter(|(name, _)| !named(name))
                        .map(|(name, schema)| (place.below(name), schema));
                    std::iter::once((place.here(), rest)).chain(more).try_for_each(|(place, schema)| {
                        self.accepts(bound, schema, &place).map_err(|_| place)
                    })
                }
                _ => Err(place.here()),
            };
            match bounded {
                Ok(()) => return Ok(()),
                Err(place) => first.get_or_insert(place.stuck("additionalProperties")),
            };
        }
        Err(first.unwrap_or_else(|| place.stuck("additionalProperties")))
    }
}

/// A list whose items have schemas by their place.
fn is_tuple(keywords: &Keywords) -> bool {
    keywords.contains_key("prefixItems") || keywords.get("items").is_some_and(Value::is_array)
}

/// What some keywords say of a property; nothing where a pattern may say something else.
fn described<'a>(keywords: &'a Keywords, name: &str) -> Option<&'a Value> {
    if let Some(schema) = keywords.get("properties").and_then(|own| own.get(name)) {
        return Some(schema);
    }
    keywords.get("additionalProperties").filter(|_| !keywords.contains_key("patternProperties"))
}

/// A bound of numbers follows from what is given: `direction` is where the narrower bound lies.
fn bounded(value: &Value, keyword: &str, direction: Ordering, given: &Given<'_>) -> bool {
    let (inclusive, exclusive) = match direction {
        Ordering::Greater => ("minimum", "exclusiveMinimum"),
        _ => ("maximum", "exclusiveMaximum"),
    };
    let compare = |bound: &&Value| order(bound.as_number()?, value.as_number()?);
    let narrower = |found: Option<Ordering>| found == Some(direction);
    let equal = |found: Option<Ordering>| found == Some(Ordering::Equal);
    // A bound that is left out still is one where the other leaves it out too.
    given.said(exclusive).iter().map(compare).any(|found| narrower(found) || equal(found))
        || given
            .said(inclusive)
            .iter()
            .map(compare)
            .any(|found| narrower(found) || (keyword == inclusive && equal(found)))
}

/// Values in a value.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

fn is_multiple(of: &Value, value: &Value) -> bool {
    let whole = |n: &Value| n.as_u64().filter(|n| *n > 0);
    same(of, value) || whole(of).zip(whole(value)).is_some_and(|(of, value)| of % value == 0)
}
