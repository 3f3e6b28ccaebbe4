using System.Runtime.CompilerServices;
using System.Text;
using System.Threading.Tasks.Sources;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Generation;

/// <summary>
/// Hands an answer from the step thread to one reader. The writer never waits; what the reader has not fetched is
/// joined into one chunk, so that memory is bounded by the length of the answer. A reader that leaves tells the engine.
/// </summary>
internal sealed class AnswerStream(int promptTokens, int interval, Action left)
    : IAsyncEnumerable<GenerationChunk>, IAsyncEnumerator<GenerationChunk>, IValueTaskSource
{
    private readonly Lock _lock = new();
    private readonly StringBuilder _text = new();
    private readonly List<int> _tokens = [];
    private readonly List<TokenLogprob> _logprobs = [];
    private ManualResetValueTaskSourceCore<bool> _signal = new() { RunContinuationsAsynchronously = true };
    private IReadOnlyList<TokenLogprob>? _promptLogprobs;
    private GenerationFinish? _finish;
    private GenerationUsage _usage = new(promptTokens, 0, 0, 0);
    private CancellationTokenRegistration _cancellation;
    private CancellationToken _cancelled;
    private int _opened;
    private int _unseen;
    private bool _isWaiting;
    private bool _isSent;

    public GenerationChunk Current { get; private set; } = null!;

    public IAsyncEnumerator<GenerationChunk> GetAsyncEnumerator(CancellationToken cancellationToken = default)
    {
        Check.That(Interlocked.Exchange(ref _opened, 1) == 0);
        _cancelled = cancellationToken;
        _cancellation = cancellationToken.UnsafeRegister(static stream => ((AnswerStream)stream!).Leave(), this);
        return this;
    }

    /// <summary>For the writer: the next token and what came with it.</summary>
    public void Write(
        int token, string text, TokenLogprob? logprob, IReadOnlyList<TokenLogprob>? promptLogprobs, GenerationUsage usage)
    {
        lock (_lock)
        {
            _tokens.Add(token);
            _text.Append(text);
            if (logprob is { } value)
            {
                _logprobs.Add(value);
            }

            _promptLogprobs ??= promptLogprobs;
            _usage = usage;
            _unseen++;
            if (_unseen < interval && usage.CompletionTokens > 1)
            {
                return;
            }

            Wake();
        }
    }

    /// <summary>For the writer: the end, with text that only now is certain.</summary>
    public void End(
        GenerationFinish finish, string text, IReadOnlyList<TokenLogprob>? promptLogprobs, GenerationUsage usage)
    {
        lock (_lock)
        {
            _text.Append(text);
            _promptLogprobs ??= promptLogprobs;
            _finish ??= finish;
            _usage = usage;
            Wake();
        }
    }

    /// <summary>For the engine when it ends a request about which nobody knows more.</summary>
    public void End(GenerationFinish finish)
    {
        lock (_lock)
        {
            _finish ??= finish;
            Wake();
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<bool> MoveNextAsync()
    {
        while (true)
        {
            _cancelled.ThrowIfCancellationRequested();
            short version;
            lock (_lock)
            {
                if (_isSent)
                {
                    return false;
                }

                if (_finish is not null || _unseen >= interval || (_unseen > 0 && _usage.CompletionTokens == _unseen))
                {
                    Current = Take();
                    return true;
                }

                _signal.Reset();
                version = _signal.Version;
                _isWaiting = true;
            }

            await new ValueTask(this, version).ConfigureAwait(false);
        }
    }

    public ValueTask DisposeAsync()
    {
        _cancellation.Unregister();
        if (!_isSent)
        {
            left();
        }

        return ValueTask.CompletedTask;
    }

    void IValueTaskSource.GetResult(short token) => _signal.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _signal.GetStatus(token);

    void IValueTaskSource.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _signal.OnCompleted(continuation, state, token, flags);

    private GenerationChunk Take()
    {
        var chunk = new GenerationChunk
        {
            Text = _text.ToString(),
            Tokens = _tokens.ToArray(),
            Logprobs = _logprobs.Count == 0 ? [] : _logprobs.ToArray(),
            PromptLogprobs = _promptLogprobs,
            Finish = _finish,
            Usage = _usage,
        };
        _text.Clear();
        _tokens.Clear();
        _logprobs.Clear();
        _promptLogprobs = null;
        _unseen = 0;
        _isSent = _finish is not null;
        return chunk;
    }

    private void Wake()
    {
        if (_isWaiting)
        {
            _isWaiting = false;
            _signal.SetResult(true);
        }
    }

    private void Leave()
    {
        left();
        lock (_lock)
        {
            Wake();
        }
    }
}
