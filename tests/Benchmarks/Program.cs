using LsglangSharp.Benchmarks;

return args switch
{
    ["engine", .. var rest] => EngineBenchmark.Run(rest),
    ["hybrid-step", .. var rest] => HybridStepBenchmark.Run(rest),
    ["http", .. var rest] => HttpBenchmark.Run(rest),
    ["load", .. var rest] => LoadBenchmark.Run(rest),
    ["dummy-checkpoint", .. var rest] => DummyCheckpoint.Run(rest),
    ["tokenizer", .. var rest] => TokenizerBenchmark.Run(rest),
    ["goldens"] => GoldenMargins.Run(),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("usage: Benchmarks engine [streams] [tokens] [vocabulary]");
    Console.Error.WriteLine("       Benchmarks goldens");
    Console.Error.WriteLine("       Benchmarks hybrid-step [rows] [steps] [vocabulary]");
    Console.Error.WriteLine("       Benchmarks http [streams] [tokens a stream] [steps a second]");
    Console.Error.WriteLine("       Benchmarks load MODEL_FOLDER [threads]");
    Console.Error.WriteLine("       Benchmarks dummy-checkpoint CONFIG_FOLDER TARGET_FOLDER [overrides as JSON]");
    Console.Error.WriteLine("       Benchmarks tokenizer [text-file]");
    return 2;
}
