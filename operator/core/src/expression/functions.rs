//! The functions an expression may call: CEL's own, its libraries strings, lists, math, encoders and optionals, and Sower's.

/// How a function is called, with how many arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Function {
    /// As it is called; with its namespace: `math.abs`.
    pub name: &'static str,
    /// The fewest arguments, the value it is called on not counted.
    pub least: usize,
    /// The most arguments.
    pub most: usize,
    /// Its first argument is no value but names a variable for the others: `x.map(i, i.id)`.
    pub binds: bool,
}

const fn takes(name: &'static str, least: usize, most: usize) -> Function {
    Function { name, least, most, binds: false }
}

const fn binds(name: &'static str, least: usize, most: usize) -> Function {
    Function { name, least, most, binds: true }
}

/// Called by themselves: `size(x)`, `math.abs(x)`. Sorted by name.
pub(super) const GLOBAL: &[Function] = &[
    takes("base64.decode", 1, 1),
    takes("base64.encode", 1, 1),
    takes("base64url", 1, 1),
    takes("bool", 1, 1),
    takes("bytes", 1, 1),
    takes("crc32", 1, 1),
    takes("double", 1, 1),
    takes("duration", 1, 1),
    takes("dyn", 1, 1),
    takes("file", 2, 3),
    takes("formatTime", 2, 3),
    takes("has", 1, 1),
    takes("hash", 2, 2),
    takes("hex", 1, 1),
    takes("hmac", 3, 3),
    takes("int", 1, 1),
    takes("json", 1, 1),
    takes("json.parse", 1, 1),
    takes("jwt", 3, 4),
    takes("lists.range", 1, 1),
    takes("matches", 2, 2),
    takes("math.abs", 1, 1),
    takes("math.bitAnd", 2, 2),
    takes("math.bitNot", 1, 1),
    takes("math.bitOr", 2, 2),
    takes("math.bitShiftLeft", 2, 2),
    takes("math.bitShiftRight", 2, 2),
    takes("math.bitXor", 2, 2),
    takes("math.ceil", 1, 1),
    takes("math.floor", 1, 1),
    takes("math.greatest", 1, usize::MAX),
    takes("math.isFinite", 1, 1),
    takes("math.isInf", 1, 1),
    takes("math.isNaN", 1, 1),
    takes("math.least", 1, usize::MAX),
    takes("math.round", 1, 1),
    takes("math.sign", 1, 1),
    takes("math.sqrt", 1, 1),
    takes("math.trunc", 1, 1),
    takes("optional.none", 0, 0),
    takes("optional.of", 1, 1),
    takes("optional.ofNonZeroValue", 1, 1),
    takes("size", 1, 1),
    takes("string", 1, 1),
    takes("strings.quote", 1, 1),
    takes("time", 1, 2),
    takes("timestamp", 1, 1),
    takes("type", 1, 1),
    takes("uint", 1, 1),
];

/// Called on a value: `x.size()`. Sorted by name.
pub(super) const METHODS: &[Function] = &[
    binds("all", 2, 2),
    takes("charAt", 1, 1),
    takes("contains", 1, 1),
    takes("distinct", 0, 0),
    takes("endsWith", 1, 1),
    binds("exists", 2, 2),
    binds("existsOne", 2, 2),
    binds("exists_one", 2, 2),
    binds("filter", 2, 2),
    takes("flatten", 0, 1),
    takes("format", 1, 1),
    takes("getDate", 0, 1),
    takes("getDayOfMonth", 0, 1),
    takes("getDayOfWeek", 0, 1),
    takes("getDayOfYear", 0, 1),
    takes("getFullYear", 0, 1),
    takes("getHours", 0, 1),
    takes("getMilliseconds", 0, 1),
    takes("getMinutes", 0, 1),
    takes("getMonth", 0, 1),
    takes("getSeconds", 0, 1),
    takes("hasValue", 0, 0),
    takes("indexOf", 1, 2),
    takes("join", 0, 1),
    takes("lastIndexOf", 1, 2),
    takes("lowerAscii", 0, 0),
    binds("map", 2, 3),
    takes("matches", 1, 1),
    binds("optFlatMap", 2, 2),
    binds("optMap", 2, 2),
    takes("or", 1, 1),
    takes("orValue", 1, 1),
    takes("replace", 2, 3),
    takes("reverse", 0, 0),
    takes("size", 0, 0),
    takes("slice", 2, 2),
    takes("sort", 0, 0),
    binds("sortBy", 2, 2),
    takes("split", 1, 2),
    takes("startsWith", 1, 1),
    takes("substring", 1, 2),
    takes("trim", 0, 0),
    takes("upperAscii", 0, 0),
    takes("value", 0, 0),
];

/// The types, which may be read as names: `type(x) == int`.
pub(super) const TYPES: [&str; 10] =
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// The function of this name in one of the two tables.
pub(super) fn find(table: &'static [Function], name: &str) -> Option<&'static Function> {
    table.binary_search_by(|function| function.name.cmp(name)).ok().map(|at| &table[at])
}

/// Whether functions stand under `name` and a dot.
pub(super) fn is_namespace(name: &str) -> bool {
    matches!(name, "base64" | "json" | "lists" | "math" | "optional" | "strings")
}

/// Names that other languages give to what CEL has, and how it is written here.
pub(super) fn elsewhere(name: &str) -> Option<&'static str> {
    Some(match name {
        "length" | "len" | "count" => "write `size(x)`",
        "toLowerCase" | "lower" | "downcase" => "write `x.lowerAscii()`",
        "toUpperCase" | "upper" | "upcase" => "write `x.upperAscii()`",
        "includes" => "write `x.contains(y)` for text, `y in x` for a list",
        "find" => "write `x.filter(i, …)[0]`",
        "default" | "coalesce" => "write `x.?y.orValue(z)`",
        "toString" | "str" => "write `string(x)`",
        "JSON" | "toJson" | "stringify" => "write `json(x)`",
        "btoa" => "write `base64.encode(bytes(x))`",
        "some" | "any" => "write `x.exists(i, …)`",
        "every" => "write `x.all(i, …)`",
        "sha256" => "write `hex(hash('sha256', x))`",
        "uuid" => "`uuid` is a name, not a function: write it without parentheses",
        "now" => "`now` is a name, not a function: write it without parentheses",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_their_namespaces_known() {
        for table in [GLOBAL, METHODS] {
            assert!(table.is_sorted_by(|one, two| one.name < two.name));
            for function in table {
                assert!(function.least <= function.most);
                if let Some((namespace, _)) = function.name.split_once('.') {
                    assert!(is_namespace(namespace), "{namespace}");
                }
            }
        }
    }
    /// Every function of the tables that is CEL's own is one the evaluator has, with the fewest and the most arguments.
    #[test]
    fn the_evaluator_has_the_functions() {
        let sowers = [
            "base64url",
            "crc32",
            "file",
            "formatTime",
            "hash",
            "hex",
            "hmac",
            "json",
            "json.parse",
            "jwt",
            "time",
        ];
        let samples = [
            "base64.decode('YQ==')",
            "base64.encode(b'a')",
            "bool('true')",
            "bytes('a')",
            "double('1.5')",
            "duration('1s')",
            "dyn(1)",
            "has({'a': 1}.a)",
            "int('1')",
            "lists.range(3)",
            "matches('a', 'a')",
            "math.abs(-1)",
            "math.bitAnd(1, 1)",
            "math.bitNot(1)",
            "math.bitOr(1, 1)",
            "math.bitShiftLeft(1, 1)",
            "math.bitShiftRight(1, 1)",
            "math.bitXor(1, 1)",
            "math.ceil(1.5)",
            "math.floor(1.5)",
            "math.greatest(1)",
            "math.greatest(1, 2, 3)",
            "math.isFinite(1.5)",
            "math.isInf(1.5)",
            "math.isNaN(1.5)",
            "math.least(1)",
            "math.least(1, 2, 3)",
            "math.round(1.5)",
            "math.sign(1)",
            "math.sqrt(4)",
            "math.trunc(1.5)",
            "optional.none()",
            "optional.of(1)",
            "optional.ofNonZeroValue(1)",
            "size('a')",
            "string(1)",
            "strings.quote('a')",
            "timestamp('2026-01-01T00:00:00Z')",
            "type(1) == int",
            "uint(1)",
            "[1].all(x, x > 0)",
            "'abc'.charAt(1)",
            "'abc'.contains('a')",
            "[1].distinct()",
            "'a'.endsWith('a')",
            "[1].exists(x, x > 0)",
            "[1].existsOne(x, x > 0)",
            "[1].exists_one(x, x > 0)",
            "[1].filter(x, x > 0)",
            "[[1]].flatten()",
            "[[1]].flatten(1)",
            "'%s'.format(['a'])",
            "optional.of(1).hasValue()",
            "'a'.indexOf('a')",
            "'a'.indexOf('a', 0)",
            "['a'].join()",
            "['a'].join(',')",
            "'a'.lastIndexOf('a')",
            "'a'.lastIndexOf('a', 0)",
            "'A'.lowerAscii()",
            "[1].map(x, x)",
            "[1].map(x, x > 0, x)",
            "'a'.matches('a')",
            "optional.of(1).optFlatMap(x, optional.of(x))",
            "optional.of(1).optMap(x, x)",
            "optional.of(1).or(optional.of(2))",
            "optional.of(1).orValue(2)",
            "'a'.replace('a', 'b')",
            "'a'.replace('a', 'b', 1)",
            "'ab'.reverse()",
            "[1, 2].reverse()",
            "'a'.size()",
            "[1, 2].slice(0, 1)",
            "[2, 1].sort()",
            "[2, 1].sortBy(x, -x)",
            "'a,b'.split(',')",
            "'a,b'.split(',', 1)",
            "'a'.startsWith('a')",
            "'abc'.substring(1)",
            "'abc'.substring(1, 2)",
            "' a '.trim()",
            "'a'.upperAscii()",
            "optional.of(1).value()",
            "timestamp(0).getDate()",
            "timestamp(0).getDate('UTC')",
            "timestamp(0).getDayOfMonth()",
            "timestamp(0).getDayOfMonth('UTC')",
            "timestamp(0).getDayOfWeek()",
            "timestamp(0).getDayOfWeek('UTC')",
            "timestamp(0).getDayOfYear()",
            "timestamp(0).getDayOfYear('UTC')",
            "timestamp(0).getFullYear()",
            "timestamp(0).getFullYear('UTC')",
            "timestamp(0).getHours()",
            "timestamp(0).getHours('UTC')",
            "timestamp(0).getMilliseconds()",
            "timestamp(0).getMilliseconds('UTC')",
            "timestamp(0).getMinutes()",
            "timestamp(0).getMinutes('UTC')",
            "timestamp(0).getMonth()",
            "timestamp(0).getMonth('UTC')",
            "timestamp(0).getSeconds()",
            "timestamp(0).getSeconds('UTC')",
        ];
        let mut env = cel::Env::stdlib();
        for extension in [
            cel::extensions::strings,
            cel::extensions::lists,
            cel::extensions::math,
            cel::extensions::encoders,
        ] {
            env.add_extension(extension).expect("each extension once");
        }
        let env = std::sync::Arc::new(env);
        let context = cel::Context::with_env(env.clone());
        for sample in samples {
            let program = env.compile(sample).unwrap_or_else(|error| panic!("{sample}: {error}"));
            assert!(program.execute(&context).is_ok(), "{sample}: {:?}", program.execute(&context));
        }
        let called = |name: &str, prefix: &str| {
            samples.iter().any(|sample| sample.contains(&format!("{prefix}{name}(")))
        };
        for function in super::GLOBAL {
            assert!(called(function.name, "") || sowers.contains(&function.name), "{}", function.name);
        }
        for method in super::METHODS {
            assert!(called(method.name, "."), "{}", method.name);
        }
        for name in super::TYPES {
            let program = env.compile(name).expect("a name");
            assert!(program.execute(&context).is_ok(), "{name}");
        }
    }
}
