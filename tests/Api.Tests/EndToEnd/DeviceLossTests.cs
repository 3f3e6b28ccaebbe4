using System.Net;
using System.Text;
using LsglangSharp.Api.Tests.Placement;

namespace LsglangSharp.Api.Tests.EndToEnd;

/// <summary>A server whose GPU stops in the middle of its work.</summary>
public sealed class DeviceLossTests
{
    [SkippableFact]
    public async Task A_GPU_that_hangs_ends_its_requests_and_the_process_with_one_line()
    {
        // Behind so many operations the stream stops: some requests later, whatever loading and recording took.
        using var server = LsglangProcess.Start(
            ["serve", "--device", "cuda", "--port", "0", "--cuda-graph-max-bs", "1", "--skip-server-warmup", "--watchdog-timeout", "4"],
            [.. Placements.Variables("hybrid"), ("CUDA_ON_CPU_WEDGE", "5000")]);
        using var client = new HttpClient { BaseAddress = await server.ReadyAsync(), Timeout = TimeSpan.FromMinutes(5) };
        var status = HttpStatusCode.OK;
        for (var i = 0; i < 100 && status == HttpStatusCode.OK; i++)
        {
            using var request = new StringContent(
                """{"text": "Hello", "sampling_params": {"temperature": 0, "max_new_tokens": 100, "ignore_eos": true}}""",
                Encoding.UTF8, "application/json");
            using var answer = await client.PostAsync("/generate", request);
            status = answer.StatusCode;
        }

        var code = await server.ExitAsync();

        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        Assert.NotEqual(0, code);
        var line = Assert.Single(server.Output.Split('\n'), line => line.StartsWith("error:", StringComparison.Ordinal));
        Assert.Contains("A step has been running", line, StringComparison.Ordinal);
        Assert.DoesNotContain("Unhandled exception", server.Output, StringComparison.Ordinal);
    }
}
