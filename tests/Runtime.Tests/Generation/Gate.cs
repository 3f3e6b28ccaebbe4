using LsglangSharp.Runtime.Ports;

namespace LsglangSharp.Runtime.Tests.Generation;

/// <summary>
/// Holds the step thread before each step until the test lets it on: so that tests do not depend on time.
/// </summary>
internal sealed class Gate : IDisposable
{
    private readonly SemaphoreSlim _steps = new(0);
    private readonly SemaphoreSlim _arrived = new(0);
    private volatile bool _isOpen;

    /// <summary>For <see cref="PagedForward.Inspect"/>.</summary>
    public void Pass(StepBatch batch)
    {
        _arrived.Release();
        if (!_isOpen)
        {
            _steps.Wait();
        }
    }

    /// <summary>Waits until a step is about to run.</summary>
    public Task Arrived() => _arrived.WaitAsync();

    /// <summary>Lets one step run.</summary>
    public void Step() => _steps.Release();

    public void Open()
    {
        _isOpen = true;
        _steps.Release();
    }

    public void Dispose()
    {
        _steps.Dispose();
        _arrived.Dispose();
    }
}
