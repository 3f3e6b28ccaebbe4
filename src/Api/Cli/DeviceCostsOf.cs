using LsglangSharp.GpuPrefill;
using LsglangSharp.NumaExperts;
using LsglangSharp.Runtime;
using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Api.Cli;

/// <summary>
/// What the adapters will need for a model beside what is counted by binding it; the same sizes that they are then given.
/// </summary>
internal static class DeviceCostsOf
{
    public static DeviceCosts Model(ModelSpec spec, ExpertPlacement experts, Machine machine)
    {
        var threads = Math.Max(1, machine.Nodes.Sum(node => node.Threads));
        var gpus = machine.Gpus.Length;
        var onHost = !experts.Layers(spec, onDevice: false).IsEmpty;
        return new DeviceCosts
        {
            HostWorkspace = sizes => CpuWorkspace.Bytes(spec, sizes.TokensMax, threads, wholeModel: gpus == 0),
            GpuWorkspace = (shard, sizes) =>
                new CudaWorkspace(spec, shard, experts, sizes).Bytes
                + (gpus > 1 ? CudaCollective.StagingBytes(sizes.TokensMax, spec.Embedding.Hidden) : 0),
            Pinned = sizes => gpus == 0 ? 0 : CudaDevice.PinnedBytesFor(ReadBytes(spec, sizes))
                + ((gpus - 1) * CudaDevice.PinnedBytesFor(0))
                + (onHost ? Mailbox(spec, experts, sizes).Bytes : 0),
        };
    }

    /// <summary>The most bytes that a step brings back from a GPU: its logits.</summary>
    public static long ReadBytes(ModelSpec spec, StepSizes sizes) =>
        (long)sizes.LogitRowsMax * spec.Head.Vocabulary * DType.F32.Bytes();

    /// <summary>Where a GPU asks the CPUs for the experts of one layer, for the largest step.</summary>
    public static MailboxShape Mailbox(ModelSpec spec, ExpertPlacement placement, StepSizes sizes) => new(
        1, sizes.TokensMax, spec.Embedding.Hidden,
        placement.Layers(spec, onDevice: false).Max(layer => ((Moe)spec.Layers[layer].Ffn).Router.TopK));
}
