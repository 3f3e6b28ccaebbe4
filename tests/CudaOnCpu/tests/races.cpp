// Built under ThreadSanitizer (CMakeLists.txt): "races NAME" must be clean, "races NAME missing" must be reported.
#include "race_programs.h"

int main(int count, char** values) {
    const struct {
        const char* name;
        CUresult (Race::*run)(bool is_missing);
    } programs[] = {{"kernels", &Race::kernels}, {"refill", &Race::refill}, {"host", &Race::host}, {"staging", &Race::staging},
                    {"graph", &Race::graph}, {"after_graph", &Race::after_graph}, {"flag", &Race::flag}};
    for (const auto& program : programs) {
        if (count < 2 || std::strcmp(values[1], program.name) != 0) continue;
        Race race;
        return (race.*program.run)(count > 2) == CUDA_SUCCESS ? 0 : 2;
    }
    std::fprintf(stderr, "no such program\n");
    return 2;
}
