using System.Diagnostics;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Weights;

namespace LsglangSharp.Api.Cli;

/// <summary>Loading as the operator sees it: a bar that moves in a terminal, a line every few seconds elsewhere.</summary>
internal sealed class LoadDisplay(TextWriter screen) : IProgress<LoadProgress>
{
    private const int BarColumns = 30;
    private const double SecondsBetweenLines = 5;

    private readonly bool _isTerminal = !Console.IsErrorRedirected;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly Lock _lock = new();
    private double _shown = double.NegativeInfinity;

    /// <summary>Called from the loading threads.</summary>
    public void Report(LoadProgress value)
    {
        lock (_lock)
        {
            var now = _clock.Elapsed.TotalSeconds;
            var isDone = value.BytesDone >= value.BytesTotal;
            if (!isDone && now - _shown < (_isTerminal ? 0.1 : SecondsBetweenLines))
            {
                return;
            }

            _shown = now;
            var rate = value.BytesDone / Math.Max(now, 1e-3);
            if (_isTerminal)
            {
                var full = (int)(value.Fraction * BarColumns);
                screen.Write($"\r  loading [{new string('#', full)}{new string('.', BarColumns - full)}] {Units.Bytes(value.BytesDone)}, "
                    + $"{Units.Rate(rate)} \x1b[K");
                if (isDone)
                {
                    screen.Write("\r\x1b[K");
                }
            }
            else if (!isDone)
            {
                screen.WriteLine($"  loading: {value.Fraction:P0} of {Units.Bytes(value.BytesTotal)}, {Units.Rate(rate)}");
            }
        }
    }

    /// <summary>So many of so many steps are recorded.</summary>
    public void Recorded(int done, int all)
    {
        if (done == 1)
        {
            _clock.Restart();
        }

        if (_isTerminal)
        {
            var full = BarColumns * done / all;
            screen.Write($"\r  recording [{new string('#', full)}{new string('.', BarColumns - full)}] {done} of {all} steps \x1b[K");
        }

        if (done == all)
        {
            screen.Write(_isTerminal ? "\r\x1b[K" : "");
            screen.WriteLine($"  graphs      {all} steps recorded in {_clock.Elapsed.TotalSeconds:F1} s");
        }
    }

    /// <summary>Says what was loaded and how fast.</summary>
    public void Finish(long bytes)
    {
        var seconds = _clock.Elapsed.TotalSeconds;
        screen.WriteLine($"  weights     {Units.Bytes(bytes)} in {seconds:F1} s ({Units.Rate(bytes / Math.Max(seconds, 1e-3))})");
    }
}
