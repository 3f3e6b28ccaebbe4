using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Layers;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Reference;
using LsglangSharp.Runtime.Weights;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Execution;

/// <summary>The order of steps with experts on the host, and of recorded steps.</summary>
public sealed class HybridCoordinatorTests
{
    private const string Attention = "norm linear norm norm rotate write attention add-linear";

    private static readonly StepSizes _sizes = new(8, 6, 6, 6);

    [Fact]
    public void Experts_on_the_host_are_answered_while_the_device_has_the_shared_one_to_do()
    {
        using var story = new Story(isResident: _ => false);

        story.Run(2);

        Assert.Equal(
            $"angles embed {Attention} norm route post mlp flush serve(0+1x2) collect "
            + $"{Attention} norm route post flush serve(1+1x2) collect gather norm linear",
            story.Text);
    }

    [Fact]
    public void A_resident_layer_asks_nobody()
    {
        using var story = new Story(isResident: layer => layer == 0);

        story.Run(1);

        Assert.Equal(
            $"angles embed {Attention} norm route start mlp join "
            + $"{Attention} norm route post flush serve(0+1x1) collect gather norm linear",
            story.Text);
    }

    [Fact]
    public void A_recorded_step_only_enqueues_and_is_answered_at_once_when_it_is_replayed()
    {
        using var story = new Story(isResident: _ => false);
        var eager = $"angles embed {Attention} norm route post mlp flush serve(0+1x4) collect "
            + $"{Attention} norm route post flush serve(1+1x4) collect gather norm linear";

        story.Coordinator.Record([4]);
        Assert.Equal($"{eager} [ {eager.Replace(" flush serve(0+1x4)", "").Replace(" flush serve(1+1x4)", "")} ]", story.Text);

        story.Clear();
        story.Run(3);
        Assert.Equal("replay flush serve(0+2x3)", story.Text);
    }

    [Theory]
    [InlineData(1, true)]
    [InlineData(2, true)]
    [InlineData(3, true)]
    [InlineData(4, true)]
    [InlineData(5, false)]
    public void A_batch_takes_the_smallest_recorded_step_that_holds_it(int rows, bool isRecorded)
    {
        using var story = new Story(isResident: _ => true);
        story.Coordinator.Record([1, 4, 2, 4, 100]);
        Assert.Equal([1, 2, 4], story.Coordinator.RecordedSizes);
        story.Clear();

        story.Run(rows);

        Assert.Equal(isRecorded, story.Text == "replay");
    }

    [Fact]
    public void A_prompt_and_a_step_that_is_looked_into_are_not_replayed()
    {
        using var story = new Story(isResident: _ => true);
        story.Coordinator.Record([4]);
        story.Clear();

        story.Run(2, isPrompt: true);
        Assert.StartsWith("angles", story.Text, StringComparison.Ordinal);
        story.Clear();
        story.Coordinator.OnResidual = (_, _) => { };
        story.Run(2);
        Assert.StartsWith("angles", story.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_records_nothing_runs_every_step_by_itself()
    {
        using var story = new Story(isResident: _ => true, records: false);

        story.Coordinator.Record([1, 2]);
        story.Run(1);

        Assert.Empty(story.Coordinator.RecordedSizes);
        Assert.StartsWith("angles", story.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_fault_brings_the_device_to_rest_before_the_next_step()
    {
        using var story = new Story(isResident: _ => false);
        story.Mailbox.Failure = new DeviceFaultException("no answer");

        var fault = Assert.Throws<DeviceFaultException>(() => story.Run(1));

        Assert.Equal("no answer", fault.Message);
        Assert.EndsWith("post mlp flush serve(0+1x1) give-up reset", story.Text, StringComparison.Ordinal);
        story.Clear();
        story.Run(1);
        Assert.EndsWith("gather norm linear", story.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_gave_up_waiting_makes_its_step_worthless()
    {
        using var story = new Story(isResident: _ => false);
        story.Mailbox.Fault = MailboxFault.DeviceTimedOut;

        Assert.Throws<DeviceFaultException>(() => story.Run(1));

        Assert.EndsWith("linear give-up reset", story.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void After_a_fatal_fault_nothing_more_is_asked_of_the_device()
    {
        using var story = new Story(isResident: _ => false);
        story.Mailbox.Failure = new DeviceLostException("gone");

        Assert.Throws<DeviceLostException>(() => story.Run(1));

        Assert.EndsWith("serve(0+1x1)", story.Text, StringComparison.Ordinal);
    }

    /// <summary>Two sparse layers, the first with a shared expert, on a device and a mailbox that only write down.</summary>
    private sealed class Story : IDisposable
    {
        private readonly Tape _tape = new();
        private readonly TapeDevice _device;

        public Story(Func<int, bool> isResident, bool records = true)
        {
            _device = new TapeDevice(_tape, new ReferenceDevice()) { Recorder = records ? new TapeRecorder(_tape) : null };
            var spec = SmallModel.Of(
                true,
                (SmallModel.Attention("0.attn"), SmallModel.Sparse("0.mlp", shared: true)),
                (SmallModel.Attention("1.attn"), SmallModel.Sparse("1.mlp", shared: false)));
            Mailbox = new TapeMailbox(_tape, _device.Experts, new MailboxShape(1, 8, SmallModel.Hidden, 2));
            var hybrid = new HybridExperts(Mailbox, Mailbox, new MailboxOptions());
            var plan = new WeightPlan(_device.Memory);
            var model = Binding.Bind(
                spec, _device, DType.BF16, plan, new KvCacheMemory(_device.Memory, DType.BF16, pages: 6, pageSize: 2).Allocate,
                expertsOf: layer => isResident(layer) ? _device.Experts : hybrid);
            WeightLoader.Load(plan, new DummyWeights(3), new LoadOptions { Threads = 1 });
            Coordinator = new Coordinator(model, _device, _sizes, hybrid);
        }

        public Coordinator Coordinator { get; }

        public TapeMailbox Mailbox { get; }

        public string Text => _tape.Text;

        public void Clear() => _tape.Clear();

        /// <summary>So many sequences of one row each, or one sequence of so many rows.</summary>
        public void Run(int rows, bool isPrompt = false)
        {
            var batch = _sizes.NewBatch();
            (batch.TokenCount, batch.SequenceCount, batch.LogitRowCount) = (rows, isPrompt ? 1 : rows, 1);
            for (var i = 0; i < rows; i++)
            {
                (batch.Tokens[i], batch.Positions[i], batch.Slots[i]) = (i, isPrompt ? i : 0, i);
                (batch.QueryStarts[i], batch.ContextLengths[i]) = (i, 1);
            }

            batch.QueryStarts[batch.SequenceCount] = rows;
            batch.ContextLengths[0] = isPrompt ? rows : 1;
            Coordinator.Run(batch);
        }

        public void Dispose()
        {
            Coordinator.Dispose();
            _device.Dispose();
        }
    }
}
