using LsglangSharp.Api.Http;

namespace LsglangSharp.Api.OpenAi;

/// <summary>How an answer is to be streamed.</summary>
internal readonly record struct StreamFields(bool Streaming, bool IncludeUsage, bool ContinuousUsage)
{
    public static StreamFields Read(Fields request, ServerContext server)
    {
        var options = request.Object("stream_options");
        return new StreamFields(
            request.Flag("stream") ?? false,
            options?.Flag("include_usage") ?? server.Options.IncludesUsage,
            options?.Flag("continuous_usage_stats") ?? false);
    }
}
