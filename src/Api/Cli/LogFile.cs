using Microsoft.Extensions.Logging;
using Serilog;
using Serilog.Extensions.Logging;

namespace LsglangSharp.Api.Cli;

/// <summary>The log file of a server: one a day, ten kept, in the folder where the user's programs keep their state.</summary>
internal sealed class LogFile : IDisposable
{
    private readonly Serilog.Core.Logger _logger;

    public LogFile(string level)
    {
        Folder = Environment.GetEnvironmentVariable("LSGLANG_LOG_DIR") is { Length: > 0 } set ? set : StateFolder();
        var pattern = Path.Combine(Folder, "lsglang-.log");
        _logger = new LoggerConfiguration()
            .MinimumLevel.Is(Level(level))
            .WriteTo.File(
                pattern,
                rollingInterval: RollingInterval.Day,
                retainedFileCountLimit: 10,
                shared: true,
                outputTemplate: "{Timestamp:yyyy-MM-dd HH:mm:ss.fff zzz} {Level:u3} {Message:lj}{NewLine}{Exception}",
                formatProvider: System.Globalization.CultureInfo.InvariantCulture)
            .CreateLogger();
    }

    public string Folder { get; }

    public ILoggerProvider Provider() => new SerilogLoggerProvider(_logger);

    /// <summary>One line to the file alone.</summary>
    public void Write(string line) => _logger.Information("{Line:l}", line);

    public void Dispose() => _logger.Dispose();

    private static string StateFolder()
    {
        var state = Environment.GetEnvironmentVariable("XDG_STATE_HOME") is { Length: > 0 } set
            ? set : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "state");
        return Path.Combine(state, "lsglang", "logs");
    }

    private static Serilog.Events.LogEventLevel Level(string level) => level.ToLowerInvariant() switch
    {
        "debug" => Serilog.Events.LogEventLevel.Debug,
        "warning" => Serilog.Events.LogEventLevel.Warning,
        "error" => Serilog.Events.LogEventLevel.Error,
        "critical" => Serilog.Events.LogEventLevel.Fatal,
        _ => Serilog.Events.LogEventLevel.Information,
    };
}
