using LsglangSharp.NumaExperts;
using LsglangSharp.Runtime.Ports;

namespace LsglangSharp.Api.Cli;

/// <summary>Binds the engine's step thread to the core that the device keeps for it, when it first comes along.</summary>
internal sealed class AttachedForward(IForward inner, CpuDevice device) : IForward
{
    private bool _isAttached;

    public int Vocabulary => inner.Vocabulary;

    public ReadOnlySpan<float> Run(StepBatch batch)
    {
        if (!_isAttached)
        {
            device.AttachThread();
            _isAttached = true;
        }

        return inner.Run(batch);
    }
}
