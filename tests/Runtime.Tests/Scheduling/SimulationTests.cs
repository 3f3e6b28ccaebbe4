using LsglangSharp.Runtime.Tests.Generation;
using Xunit.Sdk;

namespace LsglangSharp.Runtime.Tests.Scheduling;

public sealed class SimulationTests
{
    private const int SchedulesEach = 25_000;

    [Theory]
    [InlineData(Choosing.OnDevice, 4_000)]
    [InlineData(Choosing.Ahead, 16_000)]
    public void Where_tokens_are_chosen_and_how_early_steps_start_changes_no_answer(Choosing choosing, int schedules)
    {
        var followed = 0L;
        Parallel.For(0, schedules, new ParallelOptions { MaxDegreeOfParallelism = 2 }, seed =>
        {
            var simulation = new Simulation(ScheduleCase.Make(seed), choosing);
            try
            {
                simulation.Run();
            }
            catch (Exception exception)
            {
                throw new XunitException($"Schedule with seed {seed}: {exception.Message}\n{exception.StackTrace}");
            }

            Interlocked.Add(ref followed, simulation.Followed);
        });

        // Only then does it mean something.
        Assert.InRange(followed, choosing == Choosing.Ahead ? schedules : 0, long.MaxValue);
        Assert.True(choosing == Choosing.Ahead || followed == 0);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Random_schedules_end_leak_nothing_and_give_what_each_request_gives_alone(int part)
    {
        var retractions = 0L;
        var cached = 0L;
        var first = part * SchedulesEach;

        Parallel.For(first, first + SchedulesEach, new ParallelOptions { MaxDegreeOfParallelism = 2 }, seed =>
        {
            var simulation = new Simulation(ScheduleCase.Make(seed));
            try
            {
                simulation.Run();
            }
            catch (Exception exception)
            {
                throw new XunitException($"Schedule with seed {seed}: {exception.Message}\n{exception.StackTrace}");
            }

            Interlocked.Add(ref retractions, simulation.Retractions);
            Interlocked.Add(ref cached, simulation.CachedTokens);
        });

        // The loads are hard enough to mean something.
        Assert.True(retractions > SchedulesEach / 5, $"{retractions} retractions");
        Assert.True(cached > SchedulesEach, $"{cached} cached tokens");
    }
}
