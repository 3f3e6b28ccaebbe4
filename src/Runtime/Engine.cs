using System.Collections.Concurrent;
using System.Diagnostics;
using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime;

/// <summary>
/// Runs requests on a model. One thread owns all state and runs step after step; everything else talks to it through a
/// queue of messages and reads answers from streams of their own. A fault that the device survives ends the requests of the
/// step with 500. Any other ends everything: live requests get 503, and so does whoever comes later, until somebody starts
/// the server again.
/// </summary>
public sealed class Engine : IEngine, IDisposable
{
    private static readonly GenerationFinish.Aborted _abortedByRequest = new("The request was aborted.", 499);
    private static readonly GenerationFinish.Aborted _clientLeft = new("The client has left.", 499);
    private static readonly GenerationFinish.Aborted _shuttingDown = new("The server is shutting down.", 503);
    private static readonly GenerationFinish.Aborted _queueFull = new("The request queue is full.", 503);

    private static readonly TimeSpan _timeBetweenLooks = TimeSpan.FromSeconds(1);

    private readonly EngineLimits _limits;
    private readonly EngineOptions _options;
    private readonly RequestRules _rules;
    private readonly Func<bool, TextStream>? _openText;
    private readonly StepLoop _loop;
    private readonly ConcurrentDictionary<string, LiveRequest> _live = new(StringComparer.Ordinal);
    private readonly ConcurrentQueue<Message> _inbox = new();
    private readonly AutoResetEvent _wake = new(false);
    private readonly Throughput _throughput = new();
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<string> _deviceLost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Timer? _watch;
    private readonly Thread _thread;
    private int _liveCount;
    private int _isParked;
    private volatile bool _isDraining;
    private volatile bool _isDisposed;
    private volatile bool _hasEnded;
    private volatile bool _isHung;
    private volatile string? _fault;
    private long _stepStarted;

    /// <param name="forward">The model.</param>
    /// <param name="limits">What fits.</param>
    /// <param name="options">What is wanted.</param>
    /// <param name="eosTokens">Tokens that end an answer.</param>
    /// <param name="openText">Detokenisation of one answer, special tokens skipped or not; null to serve token ids only.</param>
    public Engine(
        IForward forward,
        EngineLimits limits,
        EngineOptions options,
        IReadOnlyList<int> eosTokens,
        Func<bool, TextStream>? openText)
    {
        Check.That(forward.Vocabulary == limits.Vocabulary);
        _limits = limits;
        _options = options;
        _openText = openText;
        _rules = new RequestRules(limits, openText is not null);
        _loop = new StepLoop(forward, limits.Steps, options.Scheduling, Forget);
        Facts = new EngineFacts
        {
            Vocabulary = limits.Vocabulary,
            ContextLength = limits.ContextLength,
            KvTokens = limits.KvTokens,
            PageSize = limits.PageSize,
            RunningRequestsMax = limits.Steps.RunningMax,
            QueuedRequestsMax = limits.QueuedRequestsMax,
            PrefillTokensMax = limits.Steps.PrefillTokensMax,
            EosTokens = [.. eosTokens],
        };
        _watch = options.IsHangFatal ? new Timer(_ => Watch(), null, _timeBetweenLooks, _timeBetweenLooks) : null;
        _thread = new Thread(Run) { Name = "engine", IsBackground = true };
        _thread.Start();
    }

    private enum MessageKind
    {
        Submit,
        Abort,
        Flush,
        Stop,
    }

    /// <summary>
    /// Completes, with the reason, when a device is lost, or when a step hangs and that is fatal. Whoever runs the process ends
    /// it then, without taking anything down: a device that hangs lets nobody wait for it.
    /// </summary>
    public Task<string> DeviceLost => _deviceLost.Task;

    public EngineFacts Facts { get; }

    public EngineLoad Load
    {
        get
        {
            var scheduler = _loop.Scheduler;
            var counters = _loop.Counters;
            var running = scheduler.Running.Count;
            var evictable = scheduler.Tree.EvictablePages;
            return new EngineLoad
            {
                RunningRequests = running,
                QueuedRequests = Math.Max(0, Volatile.Read(ref _liveCount) - running),
                UsedKvTokens = (_limits.KvPages - scheduler.Pool.FreeCount - evictable) * _limits.PageSize,
                EvictableKvTokens = evictable * _limits.PageSize,
                PromptTokens = counters.PromptTokens,
                CachedTokens = counters.CachedTokens,
                GeneratedTokens = counters.GeneratedTokens,
                FinishedRequests = counters.FinishedRequests,
                AbortedRequests = counters.AbortedRequests,
                Retractions = scheduler.Retractions,
                Steps = scheduler.Steps,
                GenerationThroughput = _throughput.At(Seconds()),
                Fault = _fault ?? Hang(),
            };
        }
    }

    public Submission Submit(GenerationRequest request)
    {
        if (Unavailable() is { } unavailable)
        {
            return new Submission(null, unavailable);
        }

        if (_rules.Complaint(request) is { } complaint)
        {
            return new Submission(null, complaint);
        }

        var count = Interlocked.Increment(ref _liveCount);
        var isOver = count > _limits.LiveRequestsMax;

        // With priorities the step thread decides who has to go; up to as many again may wait for that.
        if (isOver && !(_options.Scheduling.Priorities && count <= 2 * _limits.LiveRequestsMax))
        {
            Leave();
            return new Submission(null, new Rejection(_queueFull.Message, _queueFull.Status));
        }

        var live = new LiveRequest(
            request,
            _rules.NewTokensMax(request),
            _options.LowPriorityValuesFirst ? -Math.Max(request.Priority, -int.MaxValue) : request.Priority,
            Facts.EosTokens,
            _openText?.Invoke(request.Sampling.SkipSpecialTokens),
            _options.StreamInterval,
            left => Post(new Message(MessageKind.Abort, left, _clientLeft)));
        if (!_live.TryAdd(request.Id, live))
        {
            Leave();
            return new Submission(null, new Rejection($"A request with the id '{request.Id}' is running.", 400, "rid"));
        }

        Post(new Message(MessageKind.Submit, live));

        // The thread may have ended between the check above and the message: then nobody reads it.
        if (Unavailable() is { } late && _live.TryRemove(request.Id, out _))
        {
            Leave();
            Post(new Message(MessageKind.Abort, live, _shuttingDown));
            return new Submission(null, late);
        }

        return new Submission(live.Stream, null);
    }

    public int Abort(string idPrefix)
    {
        var count = 0;
        foreach (var (id, live) in _live)
        {
            if (id.StartsWith(idPrefix, StringComparison.Ordinal))
            {
                Post(new Message(MessageKind.Abort, live, _abortedByRequest));
                count++;
            }
        }

        return count;
    }

    public bool TryFlushCache()
    {
        if (Volatile.Read(ref _liveCount) > 0 || _fault is not null || _isDisposed)
        {
            return false;
        }

        var answer = new TaskCompletionSource<bool>();
        Post(new Message(MessageKind.Flush, Answer: answer));
        if (_hasEnded)
        {
            answer.TrySetResult(false);
        }

        return answer.Task.GetAwaiter().GetResult();
    }

    public async Task DrainAsync(CancellationToken giveUp)
    {
        _isDraining = true;
        if (Volatile.Read(ref _liveCount) == 0)
        {
            _drained.TrySetResult();
        }

        var gaveUp = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = giveUp.UnsafeRegister(
            static source => ((TaskCompletionSource)source!).TrySetResult(), gaveUp);
        await Task.WhenAny(_drained.Task, gaveUp.Task).ConfigureAwait(false);
        foreach (var live in _live.Values)
        {
            Post(new Message(MessageKind.Abort, live, _shuttingDown));
        }

        await _drained.Task.ConfigureAwait(false);
    }

    /// <summary>Ends all requests and the step thread, after the step that is running unless that hangs.</summary>
    public void Dispose()
    {
        if (!_isDisposed)
        {
            _isDisposed = true;
            Post(new Message(MessageKind.Stop));
            _watch?.Dispose();
            if (!_isHung)
            {
                _thread.Join();
                _wake.Dispose();
            }
        }
    }

    private static long Seconds() => Stopwatch.GetTimestamp() / Stopwatch.Frequency;

    private Rejection? Unavailable() =>
        _fault is { } fault ? new Rejection($"The server has failed and must be restarted: {fault}", 503)
        : _isDraining || _isDisposed ? new Rejection(_shuttingDown.Message, _shuttingDown.Status)
        : null;

    private string? Hang()
    {
        var started = Volatile.Read(ref _stepStarted);
        var seconds = started == 0 ? 0 : Stopwatch.GetElapsedTime(started).TotalSeconds;
        return _options.StepSecondsMax > 0 && seconds > _options.StepSecondsMax
            ? $"A step has been running for {seconds:F0} seconds."
            : null;
    }

    /// <summary>From a thread of its own, because the step's may be stuck in a driver.</summary>
    private void Watch()
    {
        if (!_isHung && Hang() is { } hang)
        {
            _isHung = true;
            _fault = hang;
            var reason = new GenerationFinish.Aborted($"The engine hangs: {hang}", 503);
            Trace.TraceError($"The engine hangs: {hang}");
            foreach (var live in _live.Values)
            {
                live.Stream.End(reason);
            }

            _deviceLost.TrySetResult(hang);
        }
    }

    private void Post(Message message)
    {
        _inbox.Enqueue(message);
        if (Interlocked.Exchange(ref _isParked, 0) == 1)
        {
            _wake.Set();
        }
    }

    private void Run()
    {
        GenerationFinish.Aborted reason;
        string? lost = null;
        try
        {
            while (Handle())
            {
                Volatile.Write(ref _stepStarted, Stopwatch.GetTimestamp());
                var generated = _loop.Counters.GeneratedTokens;
                var stepped = Step();
                Volatile.Write(ref _stepStarted, 0);
                if (stepped)
                {
                    _throughput.Add(Seconds(), _loop.Counters.GeneratedTokens - generated);
                }
                else
                {
                    Park();
                }
            }

            reason = _shuttingDown;
        }
        catch (DeviceFaultException fault)
        {
            _fault = lost = fault.Message;
            reason = new GenerationFinish.Aborted($"The device has failed: {_fault}", 503);
            Trace.TraceError($"The device has failed: {fault}");
        }
        catch (Exception exception)
        {
            _fault = $"{exception.GetType().Name}: {exception.Message}";
            reason = new GenerationFinish.Aborted($"The engine failed: {_fault}", 503);
            Trace.TraceError($"The engine failed: {exception}");
        }

        EndAll(reason);
        if (lost is not null)
        {
            _deviceLost.TrySetResult(lost);
        }
    }

    /// <summary>Runs a step. A fault that the device survives ends the requests of the step, and nothing else.</summary>
    private bool Step()
    {
        try
        {
            return _loop.Step();
        }
        catch (DeviceFaultException fault) when (!fault.IsFatal)
        {
            Trace.TraceError($"A step has failed: {fault}");
            _loop.Fail(new GenerationFinish.Aborted($"The step that computed this request has failed: {fault.Message}", 500));
            return true;
        }
    }

    /// <summary>Does what the messages say; false for the end.</summary>
    private bool Handle()
    {
        while (_inbox.TryDequeue(out var message))
        {
            switch (message.Kind)
            {
                case MessageKind.Submit:
                    _loop.Add(message.Request!);
                    DropLeastUrgent();
                    break;
                case MessageKind.Abort:
                    _loop.Abort(message.Request!, message.Reason!);
                    break;
                case MessageKind.Flush:
                    message.Answer!.TrySetResult(_loop.Scheduler.TryFlush());
                    break;
                default:
                    return false;
            }
        }

        return true;
    }

    /// <summary>
    /// With priorities: when more wait than may, the least urgent of those that wait goes, the latest first.
    /// </summary>
    private void DropLeastUrgent()
    {
        var scheduler = _loop.Scheduler;
        if (scheduler.Running.Count + scheduler.Waiting.Count <= _limits.LiveRequestsMax)
        {
            return;
        }

        var least = scheduler.Waiting[0];
        foreach (var sequence in scheduler.Waiting)
        {
            least = sequence.Priority <= least.Priority ? sequence : least;
        }

        _loop.Abort((LiveRequest)least.Owner!, _queueFull);
    }

    /// <summary>
    /// Sleeps until there is a message. Announced first and looked again, so that none is overlooked.
    /// </summary>
    private void Park()
    {
        Interlocked.Exchange(ref _isParked, 1);
        if (_inbox.IsEmpty)
        {
            _wake.WaitOne();
        }

        Interlocked.Exchange(ref _isParked, 0);
    }

    private void Forget(LiveRequest request)
    {
        if (_live.TryRemove(new KeyValuePair<string, LiveRequest>(request.Request.Id, request)))
        {
            Leave();
        }
    }

    private void Leave()
    {
        if (Interlocked.Decrement(ref _liveCount) == 0 && _isDraining)
        {
            _drained.TrySetResult();
        }
    }

    /// <summary>
    /// The last thing that the step thread does. The state behind it may be broken, so only readers are told.
    /// </summary>
    private void EndAll(GenerationFinish.Aborted reason)
    {
        _isDraining = true;
        _hasEnded = true;
        foreach (var live in _live.Values)
        {
            live.Stream.End(reason);
            Forget(live);
        }

        while (_inbox.TryDequeue(out var message))
        {
            message.Answer?.TrySetResult(false);
        }
    }

    private sealed record Message(
        MessageKind Kind,
        LiveRequest? Request = null,
        GenerationFinish.Aborted? Reason = null,
        TaskCompletionSource<bool>? Answer = null);
}
