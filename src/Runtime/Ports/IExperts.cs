using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Ports;

/// <summary>
/// A place that computes routed experts: this device, the NUMA nodes' pools, or weights on their way to a GPU.
/// </summary>
public interface IExperts
{
    /// <summary>Room for the experts of one layer.</summary>
    ExpertBank Allocate(DType type, int experts, int topK, int hidden, int intermediate);

    /// <summary>Takes what steps of up to so many rows need beside the weights, once all banks are allocated.</summary>
    void Reserve(int rows)
    {
    }

    /// <summary>
    /// Starts the experts' work on x [T, hidden] into a buffer of its own; nothing waits for it yet. An expert of -1 adds
    /// nothing, one that a row names twice counts twice. x and the routes stay as they are until the work is joined.
    /// </summary>
    ExpertRun Start(ExpertBank bank, Tensor x, Routes routes);

    /// <summary>y[t] += sum over k of weight · expert(x[t]), behind whatever the device was given in between.</summary>
    void Join(in ExpertRun run, Tensor y);
}

/// <summary>
/// Work that was started and not yet joined. At most one is open at a time for one <see cref="IExperts"/>.
/// </summary>
public readonly record struct ExpertRun(ExpertBank Bank, Tensor X, Routes Routes);
