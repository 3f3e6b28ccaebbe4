namespace LsglangSharp.Runtime.Text.Bpe;

/// <summary>The working memory of one encoding, and a count of what it did.</summary>
internal sealed class MergeScratch
{
    private const int KeptSymbolsMax = 1 << 14;

    public byte[] Bytes { get; private set; } = new byte[256];

    public byte[] Spelling { get; private set; } = new byte[512];

    public int[] Ids { get; private set; } = new int[256];

    public int[] Ranks { get; private set; } = new int[256];

    public int[] Merged { get; private set; } = new int[256];

    public int[] Next { get; private set; } = [];

    public int[] Previous { get; private set; } = [];

    public ulong[] Heap { get; private set; } = [];

    /// <summary>Pair look-ups, characters examined and heap levels passed since the scratch was made.</summary>
    public long Work { get; set; }

    public void ReserveBytes(int count)
    {
        if (Bytes.Length < count)
        {
            Bytes = new byte[count];
            Spelling = new byte[count * 2];
        }
    }

    public void ReserveSymbols(int count)
    {
        if (Ids.Length < count)
        {
            Ids = new int[count];
            Ranks = new int[count];
            Merged = new int[count];
        }
    }

    public void ReserveList(int count)
    {
        if (Next.Length < count)
        {
            Next = new int[count];
            Previous = new int[count];
            // Each merge takes one entry and adds at most two; there are fewer merges and first entries than symbols.
            Heap = new ulong[2 * count];
        }
    }

    /// <summary>True once a piece needed much memory.</summary>
    public bool IsLarge => Ids.Length > KeptSymbolsMax || Bytes.Length > KeptSymbolsMax;
}
