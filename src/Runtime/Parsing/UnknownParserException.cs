namespace LsglangSharp.Runtime.Parsing;

/// <summary>A parser name that does not exist.</summary>
public sealed class UnknownParserException : Exception
{
    public UnknownParserException(string kind, string name, IReadOnlyList<string> known)
        : base($"unknown {kind} parser '{name}'; did you mean '{Nearest(name, known)}'? "
            + $"Known are {string.Join(", ", known)}.")
    {
        Name = name;
    }

    public string Name { get; }

    internal static string Nearest(string name, IReadOnlyList<string> known) =>
        known.MinBy(candidate => Distance(name.ToLowerInvariant(), candidate))!;

    /// <summary>The least number of letters to insert, delete or replace.</summary>
    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0]++;
            for (var j = 1; j <= b.Length; j++)
            {
                var replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replaced, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[b.Length];
    }
}
