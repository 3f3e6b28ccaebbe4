using LsglangSharp.Runtime.Ports;

namespace LsglangSharp.Api.Cli;

/// <summary>Binds the engine's step thread to where the devices want it, when it first comes along.</summary>
internal sealed class AttachedForward(IForward inner, ServingDevices devices) : IForward
{
    private bool _isAttached;

    public int Vocabulary => inner.Vocabulary;

    public ReadOnlySpan<float> Run(StepBatch batch)
    {
        if (!_isAttached)
        {
            devices.AttachThread();
            _isAttached = true;
        }

        return inner.Run(batch);
    }
}
