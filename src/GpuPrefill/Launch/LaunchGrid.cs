namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>The shape of a launch: blocks in three dimensions, threads of a block, bytes of dynamic shared memory.</summary>
internal readonly record struct LaunchGrid(int X, int Y, int Z, int Threads, int SharedBytes = 0)
{
    /// <summary>The most blocks in y and in z; x takes 2^31 - 1.</summary>
    public const int MinorMax = 65_535;

    public LaunchGrid(int x, int threads)
        : this(x, 1, 1, threads)
    {
    }
}
