namespace LsglangSharp.Runtime.Primitives;

/// <summary>Quantities as people read them.</summary>
public static class Units
{
    /// <summary>"1.50 GiB"; "12.00 MiB" below one GiB.</summary>
    public static string Bytes(long bytes) => bytes >= 1 << 30
        ? FormattableString.Invariant($"{bytes / (double)(1 << 30):0.00} GiB")
        : FormattableString.Invariant($"{bytes / (double)(1 << 20):0.00} MiB");

    /// <summary>"34.3 GB/s"; "120 MB/s" below one: powers of 1000, as disks and memory are quoted.</summary>
    public static string Rate(double bytesPerSecond) => bytesPerSecond >= 1e9
        ? FormattableString.Invariant($"{bytesPerSecond / 1e9:0.0} GB/s")
        : FormattableString.Invariant($"{bytesPerSecond / 1e6:0} MB/s");

    /// <summary>"1,048,576"</summary>
    public static string Count(long count) => FormattableString.Invariant($"{count:#,0}");

    /// <summary>"30.53 B", "12.35 M"</summary>
    public static string Parameters(long count) => count >= 1_000_000_000
        ? FormattableString.Invariant($"{count / 1e9:0.00} B")
        : FormattableString.Invariant($"{count / 1e6:0.00} M");
}
