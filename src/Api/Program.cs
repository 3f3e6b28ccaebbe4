Console.WriteLine("lsglang");
