using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli;

/// <summary>What follows a flag on the command line.</summary>
internal enum FlagKind
{
    /// <summary>Nothing: its presence is the value.</summary>
    Flag,

    /// <summary>Nothing; --no-NAME is the opposite.</summary>
    Tristate,

    Int,

    /// <summary>A whole number that may end in k, M, G, T (powers of 1000) or Ki, Mi, Gi, Ti (powers of 1024).</summary>
    Human,

    Float,

    Text,

    /// <summary>One or more values.</summary>
    List,

    Json,
}

/// <summary>One flag of sglang's server: a row of flags.tsv.</summary>
internal sealed record Flag(
    string Name, IReadOnlyList<string> Aliases, FlagKind Kind, IReadOnlyList<string> Choices, string Default, string Meaning);

/// <summary>
/// All flags that sglang's server knows, with argparse's rules for reading them: unambiguous prefixes, --flag=value and --flag value,
/// lists that take values up to the next flag.
/// </summary>
internal sealed partial class FlagTable
{
    private readonly Dictionary<string, Flag> _byName = new(StringComparer.Ordinal);

    private FlagTable(IEnumerable<Flag> flags)
    {
        foreach (var flag in flags)
        {
            Rows.Add(flag);
            _byName.Add(flag.Name, flag);
            foreach (var alias in flag.Aliases)
            {
                _byName.Add(alias, flag);
            }
        }
    }

    public static FlagTable Known { get; } = Load();

    public List<Flag> Rows { get; } = [];

    public Flag this[string name] => _byName[name];

    /// <summary>Reads the arguments into values by flag name. Positional arguments are returned apart.</summary>
    public (Dictionary<string, IReadOnlyList<string>> Values, List<string> Positional) Parse(IReadOnlyList<string> arguments)
    {
        var values = new Dictionary<string, IReadOnlyList<string>>(StringComparer.Ordinal);
        var positional = new List<string>();
        for (var i = 0; i < arguments.Count; i++)
        {
            var argument = arguments[i];
            if (!argument.StartsWith("--", StringComparison.Ordinal))
            {
                if (argument.Length > 1 && argument[0] == '-' && !double.TryParse(argument, CultureInfo.InvariantCulture, out _))
                {
                    throw new ConfigurationException(
                        $"{argument} is not a flag: flags start with two dashes{Suggestion("-" + argument)}.");
                }

                positional.Add(argument);
                continue;
            }

            var equals = argument.IndexOf('=', StringComparison.Ordinal);
            var name = equals < 0 ? argument : argument[..equals];
            var (flag, negated) = Resolve(name);
            var given = equals < 0 ? Following(flag, arguments, ref i) : [argument[(equals + 1)..]];
            values[flag.Name] = Checked(flag, name, negated, given, equals >= 0);
        }

        return (values, positional);
    }

    /// <summary>A plain or human-readable whole number, or null.</summary>
    public static long? HumanNumber(string text)
    {
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var plain))
        {
            return plain;
        }

        var match = HumanPattern().Match(text);
        if (!match.Success)
        {
            return null;
        }

        var number = decimal.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture);
        var unit = match.Groups[2].Value;
        var binary = unit.EndsWith('i');
        if (binary && number != decimal.Truncate(number))
        {
            return null;
        }

        var power = "kMGT".IndexOf(binary && unit[0] == 'K' ? 'k' : unit[0], StringComparison.Ordinal) + 1;
        var factor = 1m;
        for (var i = 0; i < power; i++)
        {
            factor *= binary ? 1024 : 1000;
        }

        return number > long.MaxValue / factor ? null : (long)(number * factor);
    }

    private (Flag Flag, bool Negated) Resolve(string name)
    {
        name = name.Replace('_', '-');
        if (_byName.TryGetValue(name, out var exact))
        {
            return (exact, false);
        }

        if (name.StartsWith("--no-", StringComparison.Ordinal)
            && _byName.TryGetValue("--" + name[5..], out var tristate) && tristate.Kind == FlagKind.Tristate)
        {
            return (tristate, true);
        }

        var matches = _byName.Where(pair => pair.Key.StartsWith(name, StringComparison.Ordinal))
            .Select(pair => pair.Value).Distinct().ToList();
        return matches.Count switch
        {
            1 => (matches[0], false),
            0 => throw new ConfigurationException($"Unknown flag {name}{Suggestion(name)}. lsglang serve --help lists the flags."),
            _ => throw new ConfigurationException(
                $"{name} is ambiguous: it could be {string.Join(", ", matches.Take(6).Select(flag => flag.Name))}. Write it out."),
        };
    }

    private string Suggestion(string name)
    {
        var nearest = Spelling.Nearest(name, _byName.Keys);
        return nearest is null ? "" : $"; did you mean {nearest}";
    }

    private static IReadOnlyList<string> Following(Flag flag, IReadOnlyList<string> arguments, ref int i)
    {
        if (flag.Kind is FlagKind.Flag or FlagKind.Tristate)
        {
            return [];
        }

        var values = new List<string>();
        while (i + 1 < arguments.Count && !IsFlag(arguments[i + 1]) && (flag.Kind == FlagKind.List || values.Count == 0))
        {
            values.Add(arguments[++i]);
        }

        return values;
    }

    private static bool IsFlag(string argument) =>
        argument.StartsWith("--", StringComparison.Ordinal);

    private static IReadOnlyList<string> Checked(
        Flag flag, string name, bool negated, IReadOnlyList<string> given, bool attached)
    {
        if (flag.Kind is FlagKind.Flag or FlagKind.Tristate)
        {
            return attached
                ? throw new ConfigurationException($"{name} takes no value, but was given \"{given[0]}\".")
                : [negated ? "false" : "true"];
        }

        if (given.Count == 0)
        {
            throw new ConfigurationException($"{name} needs a value: {flag.Meaning}.");
        }

        foreach (var value in given)
        {
            var expected = flag.Kind switch
            {
                FlagKind.Int when !int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _) =>
                    "a whole number",
                FlagKind.Human when HumanNumber(value) is null =>
                    "a whole number such as 32768, 32k (32000) or 32Ki (32768)",
                FlagKind.Float when !double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out _) => "a number",
                FlagKind.Text when flag.Choices.Count > 0 && !flag.Choices.Contains(value) =>
                    $"one of {string.Join(", ", flag.Choices)}",
                _ => null,
            };
            if (expected is not null)
            {
                throw new ConfigurationException($"{name} must be {expected}, got \"{value}\".");
            }
        }

        return given;
    }

    private static FlagTable Load()
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream("flags.tsv")!;
        using var reader = new StreamReader(stream);
        var flags = new List<Flag>();
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith('#') || line.Length == 0)
            {
                continue;
            }

            var cells = line.Split('\t');
            flags.Add(new Flag(
                cells[0], Words(cells[1]), Enum.Parse<FlagKind>(cells[2], ignoreCase: true), Words(cells[3]), cells[4], cells[5]));
        }

        return new FlagTable(flags);
    }

    private static string[] Words(string cell) => cell.Split(',', StringSplitOptions.RemoveEmptyEntries);

    [GeneratedRegex(@"^(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)$")]
    private static partial Regex HumanPattern();
}
