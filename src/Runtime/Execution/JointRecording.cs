using LsglangSharp.Runtime.Ports;

namespace LsglangSharp.Runtime.Execution;

/// <summary>
/// What several devices were given for one step, a recording of each. They run side by side and meet where the operations make
/// them meet, so all of them have to be replayed.
/// </summary>
internal sealed class JointRecording : IRecording
{
    private readonly IRecording[] _recordings;

    private JointRecording(IRecording[] recordings)
    {
        _recordings = recordings;
    }

    /// <summary>Records all devices at once, because the action gives them their operations in turn.</summary>
    public static IRecording Of(IReadOnlyList<IRecorder> recorders, Action work)
    {
        var recordings = new IRecording[recorders.Count];
        Nest(0);
        return recordings.Length == 1 ? recordings[0] : new JointRecording(recordings);

        void Nest(int index)
        {
            if (index == recorders.Count)
            {
                work();
            }
            else
            {
                recordings[index] = recorders[index].Record(() => Nest(index + 1));
            }
        }
    }

    public void Replay()
    {
        foreach (var recording in _recordings)
        {
            recording.Replay();
        }
    }

    public void Dispose()
    {
        foreach (var recording in _recordings)
        {
            recording.Dispose();
        }
    }
}
