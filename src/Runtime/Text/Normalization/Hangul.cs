namespace LsglangSharp.Runtime.Text.Normalization;

/// <summary>Hangul syllables, which compose by arithmetic (The Unicode Standard, section 3.12).</summary>
internal static class Hangul
{
    public const int SyllableBase = 0xAC00;
    public const int LeadBase = 0x1100;
    public const int VowelBase = 0x1161;
    public const int TailBase = 0x11A7;
    public const int LeadCount = 19;
    public const int VowelCount = 21;
    public const int TailCount = 28;
    public const int SyllableCount = LeadCount * VowelCount * TailCount;

    public static bool IsSyllable(int code) => (uint)(code - SyllableBase) < SyllableCount;

    public static void Decompose(int syllable, List<int> target)
    {
        var index = syllable - SyllableBase;
        target.Add(LeadBase + index / (VowelCount * TailCount));
        target.Add(VowelBase + index % (VowelCount * TailCount) / TailCount);
        if (index % TailCount != 0)
        {
            target.Add(TailBase + index % TailCount);
        }
    }

    /// <summary>The syllable of lead and vowel, or of an open syllable and a tail; -1 for other pairs.</summary>
    public static int Compose(int first, int second)
    {
        if ((uint)(first - LeadBase) < LeadCount && (uint)(second - VowelBase) < VowelCount)
        {
            return SyllableBase + ((first - LeadBase) * VowelCount + second - VowelBase) * TailCount;
        }

        var isOpen = IsSyllable(first) && (first - SyllableBase) % TailCount == 0;
        return isOpen && (uint)(second - TailBase - 1) < TailCount - 1 ? first + second - TailBase : -1;
    }
}
