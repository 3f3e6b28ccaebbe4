using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using Router = LsglangSharp.Runtime.Specs.Router;

namespace LsglangSharp.GpuPrefill;

/// <summary>The operations of a forward pass, enqueued on the device's stream; none waits.</summary>
internal sealed class CudaOps(CudaDevice device) : IDeviceOps
{
    private readonly RmsNorm _rmsNorm = new(device.Kernels);
    private readonly Rows _rows = new(device.Kernels);
    private readonly Rotary _rotary = new(device.Kernels);
    private readonly Linear _linear = new(device, new Rows(device.Kernels));
    private readonly Route _route = new(device);
    private readonly WriteKv _writeKv = new(device.Kernels);
    private readonly PagedAttention _attention = new(device);

    public void Embed(WeightMatrix table, Tensor ids, Tensor y) => _rows.Embed(device.Stream, table, ids, y);

    public void RmsNorm(Tensor x, Tensor weight, float epsilon, Tensor y) =>
        _rmsNorm.Launch(device.Stream, x, weight, epsilon, y);

    public void Linear(Tensor x, WeightMatrix w, Tensor? bias, Tensor y, bool accumulate = false) =>
        _linear.Launch(device.Stream, x, w, bias, y, accumulate);

    public void RotaryAngles(Tensor positions, Tensor frequencies, float scale, Tensor cosSin) =>
        _rotary.Angles(device.Stream, positions, frequencies, scale, cosSin);

    public void Rotate(Tensor x, int headDim, Tensor cosSin, bool interleaved) =>
        _rotary.Rotate(device.Stream, x, headDim, cosSin, interleaved);

    public void WriteKv(Tensor k, Tensor v, KvLayer cache, Tensor slots) =>
        _writeKv.Launch(device.Stream, k, v, cache, slots);

    public void Attention(Tensor q, KvLayer cache, AttentionBatch batch, AttentionRule rule, Tensor y) =>
        _attention.Launch(device.Stream, q, cache, batch, rule, y);

    public void ReserveAttention(KvLayer cache, int heads, int sequences) => _attention.Reserve(cache, heads, sequences);

    public void GatedMlp(Tensor x, WeightMatrix gate, WeightMatrix up, WeightMatrix down, Tensor y) =>
        _linear.GatedMlp(device.Stream, x, gate, up, down, y);

    public void Route(
        Tensor x, WeightMatrix gate, Tensor? correction, Router router, Routes routes, Tensor? liveRows = null) =>
        _route.Launch(device.Stream, x, gate, correction, router, routes, liveRows);

    public void GatherRows(Tensor x, Tensor rows, Tensor y) => _rows.Gather(device.Stream, x, rows, y);
}
