namespace LsglangSharp.Runtime.Weights;

/// <summary>Long lists of names in messages.</summary>
internal static class NameList
{
    /// <summary>As many as one reads before one looks for a pattern.</summary>
    private const int ShownMax = 12;

    public static string Shorten(IReadOnlyCollection<string> names) => names.Count <= ShownMax
        ? string.Join(", ", names)
        : string.Join(", ", names.Take(ShownMax)) + $" and {names.Count - ShownMax} more";
}
