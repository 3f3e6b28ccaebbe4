using System.Globalization;

namespace LsglangSharp.Runtime.Text.Patterns;

/// <summary>The sets that patterns name: \p{…}, \w, [:alpha:] and the like; and what differs only in case.</summary>
internal static class CharacterProperties
{
    private static readonly Dictionary<string, string> _longNames = new(StringComparer.Ordinal)
    {
        ["letter"] = "l", ["uppercaseletter"] = "lu", ["lowercaseletter"] = "ll", ["titlecaseletter"] = "lt",
        ["casedletter"] = "lc", ["modifierletter"] = "lm", ["otherletter"] = "lo", ["mark"] = "m",
        ["combiningmark"] = "m", ["nonspacingmark"] = "mn", ["spacingmark"] = "mc", ["enclosingmark"] = "me",
        ["number"] = "n", ["decimalnumber"] = "nd", ["letternumber"] = "nl", ["othernumber"] = "no",
        ["punctuation"] = "p", ["connectorpunctuation"] = "pc", ["dashpunctuation"] = "pd",
        ["openpunctuation"] = "ps", ["closepunctuation"] = "pe", ["initialpunctuation"] = "pi",
        ["finalpunctuation"] = "pf", ["otherpunctuation"] = "po", ["symbol"] = "s", ["mathsymbol"] = "sm",
        ["currencysymbol"] = "sc", ["modifiersymbol"] = "sk", ["othersymbol"] = "so", ["separator"] = "z",
        ["spaceseparator"] = "zs", ["lineseparator"] = "zl", ["paragraphseparator"] = "zp", ["other"] = "c",
        ["control"] = "cc", ["format"] = "cf", ["surrogate"] = "cs", ["privateuse"] = "co", ["unassigned"] = "cn",
    };

    // In the order of UnicodeCategory.
    private static readonly string[] _categoryNames =
    [
        "lu", "ll", "lt", "lm", "lo", "mn", "mc", "me", "nd", "nl", "no", "zs", "zl", "zp", "cc", "cf", "cs", "co",
        "pc", "pd", "ps", "pe", "pi", "pf", "po", "sm", "sc", "sk", "so", "cn",
    ];

    private static readonly Lazy<CodePointSet[]> _categories = new(Categories);
    private static readonly Lazy<Dictionary<int, int[]>> _caseGroups = new(CaseGroups);

    public static CodePointSet Digit => Category("nd")!;

    public static CodePointSet HexDigit { get; } = CodePointSet.Parse("30-39 41-46 61-66");

    public static CodePointSet Space { get; } =
        CodePointSet.Parse("9-D 20 85 A0 1680 2000-200A 2028-2029 202F 205F 3000");

    public static CodePointSet Word => Union("l", "m", "nd", "pc");

    public static CodePointSet NewLine { get; } = CodePointSet.Of('\n');

    /// <summary>The property of this name, or null: categories, scripts, POSIX names.</summary>
    public static CodePointSet? Named(string name)
    {
        var key = name.Replace("_", "", StringComparison.Ordinal).Replace(" ", "", StringComparison.Ordinal)
            .Replace("-", "", StringComparison.Ordinal).ToLowerInvariant();
        foreach (var prefix in (ReadOnlySpan<string>)["script=", "sc=", "generalcategory=", "gc="])
        {
            key = key.StartsWith(prefix, StringComparison.Ordinal) ? key[prefix.Length..] : key;
        }

        return Category(_longNames.GetValueOrDefault(key, key)) ?? Posix(key) ?? Script(key);
    }

    /// <summary>The POSIX bracket of this name, or null.</summary>
    public static CodePointSet? Posix(string name) => name switch
    {
        "alpha" or "alphabetic" => Union("l", "m"),
        "digit" => Digit,
        "alnum" => Union("l", "m", "nd"),
        "lower" or "lowercase" => Category("ll"),
        "upper" or "uppercase" => Category("lu"),
        "punct" => Category("p")!.Union(CodePointSet.Parse("24 2B 3C-3E 5E 60 7C 7E")),
        "space" or "whitespace" => Space,
        "blank" => Category("zs")!.Union(CodePointSet.Of('\t')),
        "cntrl" => Union("cc", "cf", "cn", "co", "cs"),
        "xdigit" => HexDigit,
        "word" => Word,
        "ascii" => CodePointSet.Range(0, 0x7F),
        "any" => CodePointSet.All,
        "assigned" => Category("cn")!.Complement(),
        "graph" => Space.Union(Union("cc", "cn", "cs")).Complement(),
        "print" => Category("zs")!.Union(Space.Union(Union("cc", "cn", "cs")).Complement()),
        _ => null,
    };

    /// <summary>The set with all characters that differ from its members only in case.</summary>
    public static CodePointSet CloseOverCase(CodePointSet set)
    {
        var ranges = set.Ranges.ToList();
        foreach (var (code, group) in _caseGroups.Value)
        {
            if (set.Contains(code))
            {
                ranges.AddRange(group.Select(member => (member, member)));
            }
        }

        return CodePointSet.From(ranges);
    }

    private static CodePointSet? Script(string name) =>
        ScriptRanges.ByName.TryGetValue(name, out var ranges) ? CodePointSet.Parse(ranges) : null;

    private static CodePointSet Union(params ReadOnlySpan<string> categories)
    {
        var ranges = new List<(int, int)>();
        foreach (var category in categories)
        {
            ranges.AddRange(Category(category)!.Ranges);
        }

        return CodePointSet.From(ranges);
    }

    private static CodePointSet? Category(string name)
    {
        if (name == "lc")
        {
            return Union("lu", "ll", "lt");
        }

        var members = Enumerable.Range(0, _categoryNames.Length).Where(i =>
            _categoryNames[i] == name || name.Length == 1 && _categoryNames[i][0] == name[0]);
        var ranges = members.SelectMany(i => _categories.Value[i].Ranges).ToList();
        return ranges.Count == 0 ? null : CodePointSet.From(ranges);
    }

    private static CodePointSet[] Categories()
    {
        var ranges = _categoryNames.Select(_ => new List<(int First, int Last)>()).ToArray();
        var first = 0;
        for (var code = 1; code <= CodePointSet.Last + 1; code++)
        {
            var category = CharUnicodeInfo.GetUnicodeCategory(first);
            if (code > CodePointSet.Last || CharUnicodeInfo.GetUnicodeCategory(code) != category)
            {
                ranges[(int)category].Add((first, code - 1));
                first = code;
            }
        }

        return [.. ranges.Select(CodePointSet.From)];
    }

    // Members of a group have the same simple upper case of the lower case. The three at the end are letters of their
    // own whose lower or upper case is an ASCII letter or a common one.
    private static Dictionary<int, int[]> CaseGroups()
    {
        var groups = new Dictionary<int, List<int>>();
        foreach (var (first, last) in Union("l", "m", "so", "nl").Ranges)
        {
            for (var code = first; code <= last; code++)
            {
                var rune = new System.Text.Rune(code);
                var lower = System.Text.Rune.ToLowerInvariant(rune);
                var key = code == 0x17F ? 'S' : System.Text.Rune.ToUpperInvariant(lower).Value;
                if (key == code && lower == rune)
                {
                    continue;
                }

                (groups.TryGetValue(key, out var group) ? group : groups[key] = [key]).Add(code);
            }
        }

        return groups.Values.Where(group => group.Distinct().Count() > 1)
            .SelectMany(group => group.Distinct().Select(code => (code, group.ToArray())))
            .DistinctBy(pair => pair.code)
            .ToDictionary(pair => pair.code, pair => pair.Item2);
    }
}
