using LsglangSharp.Runtime.Ports;

namespace LsglangSharp.Api.Cli;

/// <summary>Binds the engine's step thread to where the devices want it, when it first comes along.</summary>
internal sealed class AttachedForward(IForward inner, ServingDevices devices) : IForward
{
    private bool _isAttached;

    public int Vocabulary => inner.Vocabulary;

    /// <summary>Asked for on the step thread, before each step.</summary>
    public IChoosingForward? Choosing
    {
        get
        {
            Attach();
            return inner.Choosing;
        }
    }

    public ReadOnlySpan<float> Run(StepBatch batch)
    {
        Attach();
        return inner.Run(batch);
    }

    private void Attach()
    {
        if (!_isAttached)
        {
            devices.AttachThread();
            _isAttached = true;
        }
    }
}
