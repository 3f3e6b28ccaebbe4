using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Support;

/// <summary>What a device was asked to do, as words in their order.</summary>
public sealed class Tape
{
    private readonly List<string> _words = [];

    public string Text => string.Join(' ', _words);

    public void Record(string word) => _words.Add(word);

    public void Clear() => _words.Clear();
}

/// <summary>A device that writes down each operation and computes nothing; its memory is another device's.</summary>
public sealed class TapeDevice(Tape tape, IDevice inner) : IDevice, IDeviceOps, IExperts
{
    public string Name => "tape";

    public DType ActivationType => DType.F32;

    public IDeviceMemory Memory => inner.Memory;

    public IDeviceOps Ops => this;

    public IExperts Experts => this;

    public IRecorder? Recorder { get; init; }

    public void Embed(WeightMatrix table, Tensor ids, Tensor y) => tape.Record("embed");

    public void RmsNorm(Tensor x, Tensor weight, float epsilon, Tensor y) => tape.Record("norm");

    public void Linear(Tensor x, WeightMatrix w, Tensor? bias, Tensor y, bool accumulate = false) =>
        tape.Record($"{(accumulate ? "add-" : "")}linear{(bias is null ? "" : "-bias")}");

    public void RotaryAngles(Tensor positions, Tensor frequencies, float scale, Tensor cosSin) => tape.Record("angles");

    public void Rotate(Tensor x, int headDim, Tensor cosSin, bool interleaved) => tape.Record("rotate");

    public void WriteKv(Tensor k, Tensor v, KvLayer cache, Tensor slots) => tape.Record("write");

    public void Attention(Tensor q, KvLayer cache, AttentionBatch batch, AttentionRule rule, Tensor y) =>
        tape.Record("attention");

    public void GatedMlp(Tensor x, WeightMatrix gate, WeightMatrix up, WeightMatrix down, Tensor y) => tape.Record("mlp");

    public void Route(
        Tensor x, WeightMatrix gate, Tensor? correction, Router router, Routes routes, Tensor? liveRows = null) =>
        tape.Record("route");

    public void GatherRows(Tensor x, Tensor rows, Tensor y) => tape.Record("gather");

    public ExpertBank Allocate(DType type, int experts, int topK, int hidden, int intermediate) =>
        inner.Experts.Allocate(type, experts, topK, hidden, intermediate);

    public ExpertRun Start(ExpertBank bank, Tensor x, Routes routes)
    {
        tape.Record("start");
        return new ExpertRun(bank, x, routes);
    }

    public void Join(in ExpertRun run, Tensor y) => tape.Record("join");

    public void Dispose() => inner.Dispose();
}
