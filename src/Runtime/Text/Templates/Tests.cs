using System.Collections.Frozen;
using System.Numerics;

namespace LsglangSharp.Runtime.Text.Templates;

internal delegate bool Test(RenderContext context, object value, CallArguments arguments);

/// <summary>The tests that stand after <c>is</c>.</summary>
internal static class Tests
{
    private static readonly FrozenDictionary<string, Test> All = Build();

    public static Test? Find(string name) => All.GetValueOrDefault(name);

    private static FrozenDictionary<string, Test> Build()
    {
        var tests = new Dictionary<string, Test>
        {
            ["boolean"] = Plain(value => value is bool),
            ["callable"] = Plain(value => value is UndefinedValue or (ICallable and not Cycler)),
            ["defined"] = Plain(value => value is not UndefinedValue),
            ["divisibleby"] = (_, value, arguments) =>
                IsZero(Arithmetic.Modulo(value, arguments.Bind("divisibleby", 1, "num")[0]!)),
            ["escaped"] = Plain(value => value is Markup),
            ["even"] = Plain(value => IsZero(Arithmetic.Modulo(value, Box.Of(2)))),
            ["false"] = Plain(value => value is false),
            ["filter"] = Plain(value => Operators.AsText(value) is { } name && Filters.Find(name) is not null),
            ["float"] = Plain(value => value is double),
            ["in"] = (_, value, arguments) => Operators.Contains(arguments.Bind("in", 1, "seq")[0]!, value),
            ["integer"] = Plain(value => value is long or BigInteger),
            ["iterable"] = Plain(Operators.IsIterable),
            ["lower"] = Plain(value => StringMethods.HasCase(PythonText.Str(value), isUpper: false)),
            ["mapping"] = Plain(value => value is DictValue),
            ["none"] = Plain(value => value is NoneValue),
            ["number"] = Plain(Operators.IsNumber),
            ["odd"] = Plain(value => Operators.AreEqual(Arithmetic.Modulo(value, Box.Of(2)), Box.Of(1))),
            ["sameas"] = (_, value, arguments) => AreSame(value, arguments.Bind("sameas", 1, "other")[0]!),
            ["sequence"] = Plain(value => value is string or Markup or ListValue or TupleValue or DictValue
                or RangeValue or UndefinedValue),
            ["string"] = Plain(value => value is string or Markup),
            ["test"] = Plain(value => Operators.AsText(value) is { } name && Find(name) is not null),
            ["true"] = Plain(value => value is true),
            ["undefined"] = Plain(value => value is UndefinedValue),
            ["upper"] = Plain(value => StringMethods.HasCase(PythonText.Str(value), isUpper: true)),
        };
        (string Symbol, string[] Names)[] comparisons =
        [
            ("==", ["==", "eq", "equalto"]),
            ("!=", ["!=", "ne"]),
            ("<", ["<", "lt", "lessthan"]),
            ("<=", ["<=", "le"]),
            (">", [">", "gt", "greaterthan"]),
            (">=", [">=", "ge"]),
        ];
        foreach (var (symbol, names) in comparisons)
        {
            foreach (var name in names)
            {
                tests[name] = (_, value, arguments) =>
                    Comparison.Holds(symbol, value, arguments.Bind(name, 1, "other")[0]!);
            }
        }

        return tests.ToFrozenDictionary();
    }

    private static Test Plain(Func<object, bool> test) => (_, value, arguments) =>
        arguments.Positional.Length + arguments.KeywordCount == 0 ? test(value) : throw TemplateFault.Type(
            $"the test takes 1 positional argument but {1 + arguments.Positional.Length} were given");

    private static bool IsZero(object value) => Operators.AreEqual(value, Box.Of(0));

    // Small integers, constants and the same object are identical in Python too.
    private static bool AreSame(object left, object right) => ReferenceEquals(left, right)
        || (left.GetType() == right.GetType() && left is bool or long && left.Equals(right));
}
