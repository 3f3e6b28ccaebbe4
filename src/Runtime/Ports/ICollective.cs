namespace LsglangSharp.Runtime.Ports;

/// <summary>
/// What several devices that share every layer do together. Tensors are given one of each rank, of one shape and in the
/// order of the ranks; work is enqueued on each device behind what came before.
/// </summary>
public interface ICollective
{
    /// <summary>
    /// All ranks hold the same values; afterwards their sum is these values: the first keeps them, the others become zero.
    /// </summary>
    void Split(ReadOnlySpan<Tensor> parts);

    /// <summary>Every rank gets the sum of all, added up in the order of the ranks, so that all get the same bits.</summary>
    void Sum(ReadOnlySpan<Tensor> parts);

    /// <summary>
    /// To be called when a step's results are there: throws <see cref="Primitives.DeviceLostException"/> if a rank did not come.
    /// </summary>
    void Verify();
}
