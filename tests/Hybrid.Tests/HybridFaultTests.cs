using LsglangSharp.GpuPrefill;
using LsglangSharp.GpuPrefill.Tests;
using LsglangSharp.NumaExperts;
using LsglangSharp.Runtime;
using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Sampling;
using LsglangSharp.Support;

namespace LsglangSharp.Hybrid.Tests;

/// <summary>
/// A whole engine over a GPU and the CPUs beside it, when something of it fails: whose request ends, and what goes on. The
/// answers afterwards are the reference's, so nothing of a step that failed is left in the cache.
/// </summary>
[Collection(Alone.Name)]
public sealed class HybridFaultTests
{
    private readonly GoldenCase _golden = GoldenCase.Open("qwen3_moe");

    [SkippableTheory]
    [InlineData(1)]
    [InlineData(9)]
    [InlineData(25)]
    public async Task A_launch_that_is_refused_costs_its_step_only(int nth)
    {
        using var machine = CudaOnCpu.With();
        using var server = new Server(_golden);
        Assert.Equal(_golden.Greedy, (await server.Ask("before")).Tokens);
        server.Engine.TryFlushCache();
        CudaOnCpu.FailLaunch((ulong)nth, LaunchFailure.Refused);

        var hit = await server.Ask("hit");

        var reason = Assert.IsType<GenerationFinish.Aborted>(hit.Finish);
        Assert.Equal(500, reason.Status);
        Assert.Contains("while launching", reason.Message, StringComparison.Ordinal);
        await server.Recovers(_golden);
    }

    [SkippableFact]
    public async Task Experts_that_never_answer_cost_their_step_only()
    {
        using var machine = CudaOnCpu.With();
        using var server = new Server(_golden);
        Assert.Equal(_golden.Greedy, (await server.Ask("before")).Tokens);

        // In the middle of decoding, in recorded steps; then in a prompt that must be computed again.
        foreach (var isPrompt in new[] { false, true })
        {
            if (isPrompt)
            {
                Assert.True(server.Engine.TryFlushCache());
            }

            server.Host.Silent = isPrompt ? 1 : 4;
            var reason = Assert.IsType<GenerationFinish.Aborted>((await server.Ask($"hit {isPrompt}")).Finish);
            Assert.Equal(500, reason.Status);
            Assert.Contains("experts", reason.Message, StringComparison.Ordinal);
            await server.Recovers(_golden);
        }
    }

    [SkippableFact]
    public async Task Experts_that_fail_cost_their_step_only()
    {
        using var machine = CudaOnCpu.With();
        using var server = new Server(_golden);
        server.Host.Failure = new DeviceFaultException("experts of layer 0 of those on the host: out of memory");

        var reason = Assert.IsType<GenerationFinish.Aborted>((await server.Ask("hit")).Finish);

        Assert.Equal(500, reason.Status);
        Assert.Contains("out of memory", reason.Message, StringComparison.Ordinal);
        await server.Recovers(_golden);
    }

    [SkippableFact]
    public async Task A_kernel_that_faults_ends_the_engine_with_one_line()
    {
        using var machine = CudaOnCpu.With();
        using var server = new Server(_golden);
        await server.Ask("before");
        CudaOnCpu.FailLaunch(3, LaunchFailure.IllegalAddress);

        var reason = Assert.IsType<GenerationFinish.Aborted>((await server.Ask("hit")).Finish);

        Assert.Equal(503, reason.Status);
        var line = await server.Engine.DeviceLost.WaitAsync(TimeSpan.FromMinutes(2));
        Assert.StartsWith("CUDA: ", line, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', line);
    }

    [SkippableFact]
    public async Task A_device_that_hangs_ends_the_engine_instead_of_being_waited_for()
    {
        using var machine = CudaOnCpu.With(("CUDA_ON_CPU_WEDGE", "2500"));
        using var server = new Server(_golden);

        // Until the stream stops; each answer before is right.
        GenerationFinish.Aborted? reason = null;
        for (var i = 0; i < 200 && reason is null; i++)
        {
            var answer = await server.Ask($"{i}");
            reason = answer.Finish as GenerationFinish.Aborted;
            Assert.Equal(_golden.Greedy[..answer.Tokens.Length], answer.Tokens);
        }

        Assert.Equal(503, reason!.Status);
        Assert.NotEmpty(await server.Engine.DeviceLost.WaitAsync(TimeSpan.FromMinutes(2)));
    }

    private sealed record Answer(int[] Tokens, GenerationFinish Finish);

    /// <summary>An engine whose experts are all on the host, and who can be made to fail there.</summary>
    private sealed class Server : IDisposable
    {
        private const int PageSize = 4;

        private readonly GoldenCase _golden;
        private readonly HybridDevice _device;

        public Server(GoldenCase golden)
        {
            _golden = golden;
            var cpu = new CpuDevice(new CpuDeviceOptions { Threads = 2, ExactActivations = true });
            Host = new UnreliableExperts(cpu.MailboxExperts);
            var cuda = new CudaDevice(new CudaDeviceOptions { PatienceMax = TimeSpan.FromSeconds(10) });
            _device = new HybridDevice(cuda, Host, cpu);
            var model = new PagedModel(_device, golden.Folder, DType.F32, DType.F32, PageSize, setting: new PagedSetting
            {
                Recorded = [1, 2],
                Mailbox = new MailboxOptions
                {
                    DeviceTimeout = TimeSpan.FromSeconds(2),
                    HostTimeout = TimeSpan.FromSeconds(5),
                },
            });
            var context = model.Sizes.PagesPerSequenceMax * PageSize;
            var options = new EngineOptions { PageSize = PageSize, KvTokens = context, PrefillTokensMax = 64, RunningRequestsMax = 4 };
            Engine = new Engine(
                model.Coordinator, EngineLimits.Derive(options, golden.Vocabulary, context, 1, long.MaxValue), options, [], null);
        }

        public Engine Engine { get; }

        public UnreliableExperts Host { get; }

        public async Task<Answer> Ask(string id)
        {
            var submission = Engine.Submit(new GenerationRequest
            {
                Id = id,
                Prompt = _golden.Prompt,
                Sampling = new SamplingOptions { Temperature = 0, MaxNewTokens = _golden.Greedy.Length },
            });
            if (submission.Rejection is { } rejection)
            {
                return new Answer([], new GenerationFinish.Aborted(rejection.Message, rejection.Status));
            }

            var tokens = new List<int>();
            GenerationFinish? finish = null;
            await foreach (var chunk in submission.Chunks!)
            {
                tokens.AddRange(chunk.Tokens);
                finish = chunk.Finish;
            }

            return new Answer([.. tokens], finish!);
        }

        /// <summary>Nothing is held any more, and the next answers are right: with what is left in the cache, and without.</summary>
        public async Task Recovers(GoldenCase golden)
        {
            Assert.Equal(golden.Greedy, (await Ask("after")).Tokens);
            Assert.True(Engine.TryFlushCache());
            Assert.Equal(golden.Greedy, (await Ask("after that")).Tokens);
            Assert.Equal(0, Engine.Load.UsedKvTokens);
            Assert.Null(Engine.Load.Fault);
            Assert.False(Engine.DeviceLost.IsCompleted);
        }

        public void Dispose()
        {
            Engine.Dispose();
            _device.Dispose();
        }
    }

    /// <summary>The CPUs' experts, which can be made not to answer.</summary>
    private sealed class UnreliableExperts(IMailboxExperts inner) : IMailboxExperts
    {
        /// <summary>The so-many-th call from now on answers nothing; 0: all do.</summary>
        public int Silent { get; set; }

        /// <summary>Thrown instead of the next answer.</summary>
        public Exception? Failure { get; set; }

        public ExpertBank Allocate(DType type, int experts, int topK, int hidden, int intermediate) =>
            inner.Allocate(type, experts, topK, hidden, intermediate);

        public IMailboxServer Serve(MailboxMemory memory, IReadOnlyList<MailboxRequest> requests) =>
            new Server(this, inner.Serve(memory, requests));

        private sealed class Server(UnreliableExperts experts, IMailboxServer server) : IMailboxServer
        {
            public void Serve(int first, int count, int rows, TimeSpan timeout)
            {
                if (experts.Failure is { } failure)
                {
                    experts.Failure = null;
                    throw failure;
                }

                if (experts.Silent == 0 || --experts.Silent > 0)
                {
                    server.Serve(first, count, rows, timeout);
                }
            }

            public void Dispose() => server.Dispose();
        }
    }
}
