using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Sampling;
using LsglangSharp.Runtime.Scheduling;

namespace LsglangSharp.Runtime.Generation;

/// <summary>
/// The whole life of requests, one step after the other, without a thread or a clock: plan, forward, sample, stop. The
/// engine drives it from its thread, simulations drive it directly.
/// </summary>
internal sealed class StepLoop
{
    private readonly IForward _forward;
    private readonly Sampler _sampler;
    private readonly Action<LiveRequest> _ended;
    private int[] _topTokens = [];
    private float[] _topLogprobs = [];

    public StepLoop(IForward forward, SchedulerLimits limits, SchedulerOptions options, Action<LiveRequest> ended)
    {
        _forward = forward;
        _sampler = new Sampler(forward.Vocabulary);
        _ended = ended;
        Scheduler = new Scheduler(limits, options);
    }

    public Scheduler Scheduler { get; }

    public EngineCounters Counters { get; } = new();

    public void Add(LiveRequest request) => Scheduler.Enqueue(request.Sequence);

    /// <summary>Ends a request from outside, if it has not ended by itself.</summary>
    public void Abort(LiveRequest request, GenerationFinish.Aborted reason)
    {
        if (!request.IsEnded)
        {
            End(request, reason, "");
        }
    }

    /// <summary>Runs one step; false if there was nothing to do.</summary>
    public bool Step()
    {
        if (!Scheduler.Plan())
        {
            return false;
        }

        var logits = _forward.Run(Scheduler.Batch);
        Scheduler.Commit();
        foreach (var sequence in Scheduler.Scheduled)
        {
            Receive((LiveRequest)sequence.Owner!, logits);
        }

        return true;
    }

    /// <summary>
    /// The step that was planned has not been computed: its requests end. What earlier steps have computed stays in the
    /// cache; the pages of this one are free again, because they never came to count.
    /// </summary>
    public void Fail(GenerationFinish.Aborted reason)
    {
        foreach (var sequence in Scheduler.Scheduled.ToArray())
        {
            Abort((LiveRequest)sequence.Owner!, reason);
        }
    }

    private void Receive(LiveRequest request, ReadOnlySpan<float> logits)
    {
        var sequence = request.Sequence;
        var vocabulary = _forward.Vocabulary;
        var promptRows = sequence.LogitRowCount - (sequence.IsAtEnd ? 1 : 0);
        for (var i = 0; i < promptRows; i++)
        {
            var row = logits.Slice((sequence.LogitRow + i) * vocabulary, vocabulary);
            if (!_sampler.Score(row))
            {
                End(request, Faulty(_sampler.Fault), "");
                return;
            }

            var next = sequence.Tokens[sequence.LogitPosition + i + 1];
            request.AddPromptLogprob(Logprob(request, next, row));
        }

        if (!sequence.IsAtEnd)
        {
            return;
        }

        CountPrompt(sequence);
        if (sequence.NewTokensMax == 0)
        {
            End(request, new GenerationFinish.Length(0), "");
            return;
        }

        Choose(request, logits.Slice((sequence.LogitRow + promptRows) * vocabulary, vocabulary));
    }

    private void Choose(LiveRequest request, ReadOnlySpan<float> logits)
    {
        var token = _sampler.Sample(logits, request.Sampling);
        if (token < 0)
        {
            End(request, Faulty(_sampler.Fault), request.Text.Flush());
            return;
        }

        TokenLogprob? logprob = request.Request.ReturnLogprobs ? Logprob(request, token, logits) : null;
        request.Sampling.Add(token);
        request.Sequence.Append(token);
        Counters.GeneratedTokens++;
        var isEnd = request.IsEndToken(token);
        var text = isEnd ? request.Text.End(token) : request.Text.Push(token);
        request.Stream.Write(token, text, logprob, request.TakePromptLogprobs(), request.Usage);
        if (request.Text.Matched is { } stop)
        {
            End(request, new GenerationFinish.StopString(stop), "");
        }
        else if (isEnd)
        {
            End(request, new GenerationFinish.StopToken(token), "");
        }
        else if (request.Sequence.OutputLength >= request.Sequence.NewTokensMax)
        {
            var rest = request.Text.Flush();
            End(request, request.Text.Matched is { } late
                ? new GenerationFinish.StopString(late)
                : new GenerationFinish.Length(request.Sequence.OutputLength), rest);
        }
    }

    private TokenLogprob Logprob(LiveRequest request, int token, ReadOnlySpan<float> logits)
    {
        var logprob = _sampler.LogprobOf(token, logits);
        var count = Math.Min(request.Request.TopLogprobs, logits.Length);
        if (count == 0)
        {
            return new TokenLogprob(token, logprob, null);
        }

        if (_topTokens.Length < count)
        {
            _topTokens = new int[count];
            _topLogprobs = new float[count];
        }

        _sampler.Top(logits, _topTokens.AsSpan(0, count), _topLogprobs);
        var top = new TopLogprob[count];
        for (var i = 0; i < count; i++)
        {
            top[i] = new TopLogprob(_topTokens[i], _topLogprobs[i]);
        }

        return new TokenLogprob(token, logprob, top);
    }

    private void CountPrompt(Sequence sequence)
    {
        if (sequence.OutputLength == 0)
        {
            Counters.PromptTokens += sequence.PromptLength;
            Counters.CachedTokens += sequence.CachedTokens;
        }
    }

    private void End(LiveRequest request, GenerationFinish finish, string text)
    {
        var usage = request.Usage;
        var promptLogprobs = finish is GenerationFinish.Aborted ? null : request.TakePromptLogprobs();
        request.IsEnded = true;
        Scheduler.End(request.Sequence);
        if (finish is GenerationFinish.Aborted)
        {
            Counters.AbortedRequests++;
        }
        else
        {
            Counters.FinishedRequests++;
        }

        request.Stream.End(finish, text, promptLogprobs, usage);
        _ended(request);
    }

    private static GenerationFinish.Aborted Faulty(SamplingFault fault) => new(
        fault switch
        {
            SamplingFault.NotANumber => "NaN in the logits: the model computed something that is not a number (layer unknown).",
            SamplingFault.Infinite => "Infinity in the logits: the model's numbers have overflowed (layer unknown).",
            _ => "No token can be chosen: every token's logit is minus infinity.",
        },
        500);
}
