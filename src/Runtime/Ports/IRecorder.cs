namespace LsglangSharp.Runtime.Ports;

/// <summary>A device that can be given a whole step at once, as it was given it before.</summary>
public interface IRecorder
{
    /// <summary>
    /// Notes the operations that the action enqueues instead of running them. Tensors, sizes and scalars are noted as they
    /// are now; what tensors hold is looked up at each replay. The action must not read, upload, allocate or wait.
    /// </summary>
    IRecording Record(Action work);
}

/// <summary>Operations in their order, ready to be enqueued as one.</summary>
public interface IRecording : IDisposable
{
    /// <summary>Enqueues them all behind what the device was given so far. Does not wait.</summary>
    void Replay();
}
