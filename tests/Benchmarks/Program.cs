using LsglangSharp.Benchmarks;

return args switch
{
    ["engine", .. var rest] => EngineBenchmark.Run(rest),
    ["tokenizer", .. var rest] => TokenizerBenchmark.Run(rest),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("usage: Benchmarks engine [streams] [tokens]");
    Console.Error.WriteLine("       Benchmarks tokenizer [text-file]");
    return 2;
}
