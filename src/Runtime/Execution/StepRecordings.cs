using LsglangSharp.Runtime.Ports;

namespace LsglangSharp.Runtime.Execution;

/// <summary>The recorded steps and which of them a batch fits.</summary>
internal sealed class StepRecordings(IReadOnlyList<int> sizes, IReadOnlyList<IRecording> recordings) : IDisposable
{
    private readonly Entry[] _entries = [.. sizes.Zip(recordings, (rows, recording) => new Entry(rows, recording))];

    public IReadOnlyList<int> Sizes => sizes;

    /// <summary>
    /// The smallest recorded step that holds the batch; null if each sequence of the batch does not have just one row, or
    /// none is large enough.
    /// </summary>
    public Entry? For(StepBatch batch)
    {
        if (batch.TokenCount != batch.SequenceCount)
        {
            return null;
        }

        foreach (var entry in _entries)
        {
            if (entry.Rows >= batch.TokenCount)
            {
                return entry;
            }
        }

        return null;
    }

    public void Dispose()
    {
        foreach (var entry in _entries)
        {
            entry.Recording.Dispose();
        }
    }

    public readonly record struct Entry(int Rows, IRecording Recording);
}
