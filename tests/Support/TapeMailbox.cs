using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Support;

/// <summary>Both ends of a mailbox, which write down what they are asked and do nothing.</summary>
public sealed class TapeMailbox(Tape tape, IExperts room, MailboxShape shape) : IMailbox, IMailboxExperts, IMailboxServer
{
    public MailboxMemory Memory { get; } = new(shape, 0, [.. Enumerable.Range(0, shape.Slots).Select(i => shape.Slot(0, i))]);

    public MailboxFault Fault { get; set; }

    /// <summary>Thrown instead of the next answer.</summary>
    public Exception? Failure { get; set; }

    public void Post(int slot, Tensor x, Routes routes) => tape.Record("post");

    public void Collect(int slot, Routes routes, Tensor y) => tape.Record("collect");

    public void Flush() => tape.Record("flush");

    public void GiveUp() => tape.Record("give-up");

    public void Reset()
    {
        Fault = MailboxFault.None;
        tape.Record("reset");
    }

    public ExpertBank Allocate(DType type, int experts, int topK, int hidden, int intermediate) =>
        room.Allocate(type, experts, topK, hidden, intermediate);

    public IMailboxServer Serve(MailboxMemory memory, IReadOnlyList<MailboxRequest> requests) => this;

    public void Serve(int first, int count, int rows, TimeSpan timeout)
    {
        tape.Record($"serve({first}+{count}x{rows})");
        if (Failure is { } failure)
        {
            Failure = null;
            throw failure;
        }
    }

    public void Dispose()
    {
    }
}

/// <summary>Records by writing down where the recording begins and ends, and when it is replayed.</summary>
public sealed class TapeRecorder(Tape tape) : IRecorder
{
    public IRecording Record(Action work)
    {
        tape.Record("[");
        work();
        tape.Record("]");
        return new Recording(tape);
    }

    private sealed class Recording(Tape tape) : IRecording
    {
        public void Replay() => tape.Record("replay");

        public void Dispose() => tape.Record("forget");
    }
}
