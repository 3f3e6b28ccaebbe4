namespace LsglangSharp.Runtime.Primitives;

/// <summary>Quantities as people read them.</summary>
public static class Units
{
    /// <summary>"1.50 GiB"; "12.00 MiB" below one GiB.</summary>
    public static string Bytes(long bytes) => bytes >= 1 << 30
        ? FormattableString.Invariant($"{bytes / (double)(1 << 30):0.00} GiB")
        : FormattableString.Invariant($"{bytes / (double)(1 << 20):0.00} MiB");

    /// <summary>"1,048,576"</summary>
    public static string Count(long count) => FormattableString.Invariant($"{count:#,0}");
}
