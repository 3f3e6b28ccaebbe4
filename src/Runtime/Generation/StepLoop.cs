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

    /// <summary>The step that was started last, and one to use again.</summary>
    private Flight _flight = new();
    private Flight _next = new();
    private ChoiceRules? _rules;

    /// <summary>A step has been started whose tokens are not known.</summary>
    private bool _isOpen;
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

    /// <summary>
    /// Runs one step; false if there was nothing to do. Where tokens are chosen on the device, the next step may be started
    /// before this one's tokens are known here.
    /// </summary>
    public bool Step() => _forward.Choosing is { } choosing ? Step(choosing) : StepOnHost();

    /// <summary>
    /// The step that ran has failed: ends whoever took part, and in the step behind it. What they computed in earlier steps
    /// stays in the cache; the pages of these are free again, because they never came to count.
    /// </summary>
    public void Fail(GenerationFinish.Aborted reason)
    {
        foreach (var sequence in Scheduler.Scheduled.ToArray())
        {
            Abort((LiveRequest)sequence.Owner!, reason);
        }

        if (_isOpen)
        {
            _isOpen = false;
            foreach (var row in _flight.Rows)
            {
                Abort(row.Request, reason);
            }

            if (_next.IsFollowed)
            {
                // What failed has been shared already, and everybody who ran took part.
                Scheduler.ForgetPrefixes();
                _next.IsFollowed = false;
            }
        }
    }

    private bool StepOnHost()
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

    private bool Step(IChoosingForward choosing)
    {
        _rules ??= new ChoiceRules(Scheduler.Batch.LogitRowsMax, choosing.EditsMax);
        if (!_isOpen)
        {
            if (!Scheduler.Plan())
            {
                return false;
            }

            Start(choosing, ahead: 0);
        }

        var flight = _flight;
        if (choosing.RunsAhead && flight.MayBeFollowed() && Scheduler.ContinuesAlone())
        {
            Follow(choosing);
        }

        var chosen = choosing.Finish();
        if (!flight.IsFollowed)
        {
            _isOpen = false;
            Scheduler.Commit();
        }

        foreach (var row in flight.Rows)
        {
            if (!row.Request.IsEnded)
            {
                Receive(row, choosing, chosen, flight.IsFollowed);
            }
        }

        flight.IsFollowed = false;
        return true;
    }

    private void Start(IChoosingForward choosing, int ahead)
    {
        _rules!.Clear();
        _flight.Fill(Scheduler.Scheduled, _rules, ahead);
        _isOpen = true;
        choosing.Start(Scheduler.Batch, _rules);
    }

    /// <summary>
    /// Starts the next step behind the one that is open. Its tokens are those that the open one chooses; here they are 0
    /// until they are known, and each follows its request's rule.
    /// </summary>
    private void Follow(IChoosingForward choosing)
    {
        Scheduler.Commit();
        foreach (var row in _flight.Rows)
        {
            if (!row.Request.IsEnded)
            {
                row.Request.Sequence.Append(0);
            }
        }

        Scheduler.Plan();
        var batch = Scheduler.Batch;
        batch.HasTokenSources = true;
        for (var i = 0; i < batch.TokenCount; i++)
        {
            batch.TokenSources[i] = ((LiveRequest)Scheduler.Scheduled[i].Owner!).Rule;
        }

        _flight.IsFollowed = true;
        (_flight, _next) = (_next, _flight);
        Start(choosing, ahead: 1);
    }

    private void Receive(
        in FlightRow row, IChoosingForward choosing, ReadOnlySpan<ChosenToken> chosen, bool isFollowed)
    {
        var request = row.Request;
        var sequence = request.Sequence;
        for (var i = 0; i < row.PromptRows; i++)
        {
            if (!Score(request, sequence.Tokens[row.LogitPosition + i + 1], choosing.Logits(row.LogitRow + i)))
            {
                return;
            }
        }

        if (!row.IsAtEnd || !ReachEnd(request))
        {
            return;
        }

        if (row.Rule < 0)
        {
            Choose(request, choosing.Logits(row.LogitRow + row.PromptRows));
            return;
        }

        ref readonly var choice = ref chosen[row.Rule];
        if (choice.Token < 0)
        {
            End(request, Faulty((SamplingFault)choice.Fault), request.Text.Flush());
            return;
        }

        TokenLogprob? logprob = request.Request.ReturnLogprobs ? Logprob(request, choice) : null;
        if (isFollowed)
        {
            sequence.Replace(sequence.Length - 1, choice.Token);
        }
        else
        {
            sequence.Append(choice.Token);
        }

        Accept(request, choice.Token, logprob);
    }

    private void Receive(LiveRequest request, ReadOnlySpan<float> logits)
    {
        var sequence = request.Sequence;
        var vocabulary = _forward.Vocabulary;
        var promptRows = sequence.LogitRowCount - (sequence.IsAtEnd ? 1 : 0);
        for (var i = 0; i < promptRows; i++)
        {
            var row = logits.Slice((sequence.LogitRow + i) * vocabulary, vocabulary);
            if (!Score(request, sequence.Tokens[sequence.LogitPosition + i + 1], row))
            {
                return;
            }
        }

        if (sequence.IsAtEnd && ReachEnd(request))
        {
            Choose(request, logits.Slice((sequence.LogitRow + promptRows) * vocabulary, vocabulary));
        }
    }

    /// <summary>Notes the log-probability of the prompt's token behind this row; false if the row is broken.</summary>
    private bool Score(LiveRequest request, int next, ReadOnlySpan<float> row)
    {
        if (!_sampler.Score(row))
        {
            End(request, Faulty(_sampler.Fault), "");
            return false;
        }

        request.AddPromptLogprob(Logprob(request, next, row));
        return true;
    }

    /// <summary>The prompt has been read; false if no token is wanted.</summary>
    private bool ReachEnd(LiveRequest request)
    {
        CountPrompt(request);
        if (request.Sequence.NewTokensMax > 0)
        {
            return true;
        }

        End(request, new GenerationFinish.Length(0), "");
        return false;
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
        request.Sequence.Append(token);
        Accept(request, token, logprob);
    }

    /// <summary>The sequence has got its token: what becomes of the request.</summary>
    private void Accept(LiveRequest request, int token, TokenLogprob? logprob)
    {
        request.Sampling.Add(token);
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

    /// <summary>The same of a choice: after edits and temperature, before any cut.</summary>
    private static TokenLogprob Logprob(LiveRequest request, in ChosenToken choice)
    {
        var (max, temperature, logTotal) = (choice.Max, request.Sampling.Temperature, Math.Log(choice.Total));
        float Of(float score) => (float)((((double)score - max) / temperature) - logTotal);
        var count = request.Request.TopLogprobs;
        if (count == 0)
        {
            return new TokenLogprob(choice.Token, Of(choice.Score), null);
        }

        var top = new TopLogprob[count];
        for (var i = 0; i < count; i++)
        {
            top[i] = new TopLogprob(choice.Tokens[i], Of(choice.Scores[i]));
        }

        return new TokenLogprob(choice.Token, Of(choice.Score), top);
    }

    private void CountPrompt(LiveRequest request)
    {
        // A request counts once, when its first token comes: before that token stands behind the prompt.
        if (!request.IsCounted)
        {
            request.IsCounted = true;
            Counters.PromptTokens += request.Sequence.PromptLength;
            Counters.CachedTokens += request.Sequence.CachedTokens;
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
