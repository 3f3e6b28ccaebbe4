using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Threading.Channels;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Text.Templates;

namespace LsglangSharp.Benchmarks;

/// <summary>
/// What the HTTP side costs: many chat streams over loopback from an engine that does nothing but hand out a token a stream and
/// step. The client is another process, so that the processor time is the server's alone.
/// </summary>
internal static class HttpBenchmark
{
    private const string Usage = "usage: Benchmarks http [streams] [tokens a stream] [steps a second]";

    public static int Run(string[] arguments)
    {
        if (arguments is ["client", var address, var count, var tokens])
        {
            return Client(
                new Uri(address),
                int.Parse(count, CultureInfo.InvariantCulture),
                int.Parse(tokens, CultureInfo.InvariantCulture))
                .GetAwaiter().GetResult();
        }

        var numbers = new int[] { 32, 1000, 250 };
        for (var i = 0; i < arguments.Length; i++)
        {
            if (
                i >= numbers.Length || !int.TryParse(
                    arguments[i],
                    CultureInfo.InvariantCulture,
                    out numbers[i]) || numbers[i] < 1)
            {
                Console.Error.WriteLine(Usage);
                return 2;
            }
        }

        return ServeAsync(numbers[0], numbers[1], numbers[2]).GetAwaiter().GetResult();
    }

    private static async Task<int> ServeAsync(int streams, int tokens, int stepsPerSecond)
    {
        Console.WriteLine($"{streams} streams of {tokens} tokens, {stepsPerSecond} steps a second");
        foreach (
            var (
                name,
                toolParser,
                reasoningParser) in new[] { ("plain", null, null), ("with parsers", "qwen25", "qwen3") })
        {
            using var engine = new StepEngine(streams, TimeSpan.FromSeconds(1.0 / stepsPerSecond));
            await using var app = LsglangServer.Build(
                new ServerOptions { Port = 0, ToolCallParser = toolParser, ReasoningParser = reasoningParser },
                engine,
                new ServedModel { Path = "bench", Text = new NoText(), ChatTemplate = ChatTemplate.Parse("x") });
            await app.StartAsync();

            // The first round compiles; the second counts.
            await RunClientAsync(LsglangServer.AddressOf(app), streams, tokens);
            var allocated = GC.GetTotalAllocatedBytes();
            var (user, kernel) = ProcessorTimes();
            var clock = Stopwatch.StartNew();
            await RunClientAsync(LsglangServer.AddressOf(app), streams, tokens);
            var total = (double)streams * tokens;
            var (userAfter, kernelAfter) = ProcessorTimes();
            var micros = (userAfter - user).TotalMicroseconds / total;
            var kernelMicros = (kernelAfter - kernel).TotalMicroseconds / total;
            var bytes = (GC.GetTotalAllocatedBytes() - allocated) / total;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{name,-12} {micros + kernelMicros,6:F1} us of processor time a token ({kernelMicros:F1} "
                + $"of them the kernel's), {bytes,6:F0} bytes allocated a token, "
                + $"{total / clock.Elapsed.TotalSeconds,8:F0} tokens a second"));
        }

        return 0;
    }

    private static (TimeSpan User, TimeSpan Kernel) ProcessorTimes()
    {
        using var process = Process.GetCurrentProcess();
        return (process.UserProcessorTime, process.PrivilegedProcessorTime);
    }

    private static async Task RunClientAsync(string address, int streams, int tokens)
    {
        string[] arguments = ["http", "client", address, $"{streams}", $"{tokens}"];
        var assembly = typeof(HttpBenchmark).Assembly.Location;
        using var client = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, assembly.Length > 0
            && Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [assembly, .. arguments] : arguments))!;
        await client.WaitForExitAsync();
        if (client.ExitCode != 0)
        {
            throw new InvalidOperationException("The client of the benchmark failed.");
        }
    }

    private static async Task<int> Client(Uri address, int count, int tokens)
    {
        using var client = new HttpClient();
        var body = "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"stream\":true,\"max_tokens\":"
            + tokens.ToString(CultureInfo.InvariantCulture)
            + ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"chat_template_kwargs\":{\"enable_thinking\":false}}";
        var ends = await Task.WhenAll(Enumerable.Range(0, count).Select(_ => ReadAsync()));
        return ends.All(complete => complete) ? 0 : 1;

        async Task<bool> ReadAsync()
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(address, "/v1/chat/completions"))
            {
                Content = new StringContent(body, Encoding.UTF8, "application/json"),
            };
            using var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
            string? last = null;
            while (await reader.ReadLineAsync() is { } line)
            {
                last = line.Length > 0 ? line : last;
            }

            return last == "data: [DONE]";
        }
    }

    /// <summary>Begins when all streams are there; then every step gives each of them one token.</summary>
    private sealed class StepEngine : IEngine, IDisposable
    {
        private readonly ConcurrentDictionary<string, (
            GenerationRequest Request,
            Channel<GenerationChunk> Chunks)> _live = new();
        private readonly CancellationTokenSource _stop = new();
        private readonly Thread _thread;

        public StepEngine(int streams, TimeSpan step)
        {
            _thread = new Thread(() => Run(streams, step)) { IsBackground = true };
            _thread.Start();
        }

        public EngineFacts Facts { get; } = new()
        {
            Vocabulary = 1000,
            ContextLength = 1 << 20,
            KvTokens = 1 << 20,
            PageSize = 16,
            RunningRequestsMax = 1000,
            QueuedRequestsMax = 1000,
            PrefillTokensMax = 1000,
            EosTokens = [],
        };

        public EngineLoad Load { get; } = new();

        public Submission Submit(GenerationRequest request)
        {
            var channel = Channel.CreateUnbounded<GenerationChunk>(new UnboundedChannelOptions { SingleReader = true });
            _live[request.Id] = (request, channel);
            return new Submission(ReadAsync(channel.Reader), null);
        }

        public int Abort(string idPrefix) => 0;

        public bool TryFlushCache() => true;

        public Task DrainAsync(CancellationToken giveUp) => Task.CompletedTask;

        public void Dispose()
        {
            _stop.Cancel();
            _thread.Join();
            _stop.Dispose();
        }

        private static async IAsyncEnumerable<GenerationChunk> ReadAsync(
            ChannelReader<GenerationChunk> chunks, [EnumeratorCancellation] CancellationToken cancel = default)
        {
            await foreach (var chunk in chunks.ReadAllAsync(cancel))
            {
                yield return chunk;
            }
        }

        private void Run(int streams, TimeSpan step)
        {
            while (!_stop.IsCancellationRequested)
            {
                if (_live.Count < streams)
                {
                    _stop.Token.WaitHandle.WaitOne(1);
                    continue;
                }

                var most = _live.Values.First().Request.Sampling.MaxNewTokens!.Value;
                for (var count = 1; count <= most; count++)
                {
                    _stop.Token.WaitHandle.WaitOne(step);
                    foreach (var (_, chunks) in _live.Values)
                    {
                        chunks.Writer.TryWrite(new GenerationChunk
                        {
                            Text = " word",
                            Tokens = [count % 1000],
                            Finish = count == most ? new GenerationFinish.Length(most) : null,
                            Usage = new GenerationUsage(1, 0, count, 0),
                        });
                    }
                }

                foreach (var (_, chunks) in _live.Values)
                {
                    chunks.Writer.Complete();
                }

                _live.Clear();
            }
        }
    }

    private sealed class NoText : IModelText
    {
        public int[] Encode(string text, bool addSpecialTokens) => [1];

        public string Decode(ReadOnlySpan<int> tokens, bool skipSpecialTokens) => "";

        public byte[] BytesOf(int token) => [];
    }
}
