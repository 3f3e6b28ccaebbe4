namespace LsglangSharp.Runtime.Primitives;

/// <summary>
/// A machine's error while a step was computed: a launch that failed, memory that was not there, an answer that did not come.
/// The requests of that step end with it.
/// </summary>
public class DeviceFaultException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The device computes nothing any more: the process has to end. Otherwise the next step can run.</summary>
    public virtual bool IsFatal => false;
}

/// <summary>A device that is lost, or does not come to an end with what it was given.</summary>
public sealed class DeviceLostException(string message, Exception? inner = null) : DeviceFaultException(message, inner)
{
    public override bool IsFatal => true;
}
