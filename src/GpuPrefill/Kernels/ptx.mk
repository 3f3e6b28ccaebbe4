# Kernels to PTX, for GpuPrefill.csproj: make -f ptx.mk OUT=<folder> CLANG=<clang++>. What is there and newer than its
# sources, headers included, is kept. sm_80 runs on every later GPU as well; sm_90a on Hopper only.
KERNELS := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
COMMON := $(notdir $(basename $(wildcard $(KERNELS)/*.cu)))
HOPPER := $(notdir $(basename $(wildcard $(KERNELS)/sm_90/*.cu)))
# Newer compilers may know warnings that nobody here has seen.
STRICT := $(if $(filter 19.%,$(shell $(CLANG) -dumpversion)),-Werror)
FLAGS := -x cuda -nocudainc -nocudalib --cuda-device-only -S -O3 -std=c++20 -ffp-contract=off -Wall -Wextra $(STRICT) \
         -I$(KERNELS)

PTX := $(COMMON:%=$(OUT)/sm_80/%.ptx) $(COMMON:%=$(OUT)/sm_90a/%.ptx) $(HOPPER:%=$(OUT)/sm_90a/%.ptx)

all: $(PTX)

$(OUT)/sm_80/%.ptx: $(KERNELS)/%.cu $(KERNELS)/ptx.mk
	@mkdir -p $(@D)
	$(CLANG) $(FLAGS) --cuda-gpu-arch=sm_80 --cuda-feature=+ptx80 -MMD -MP -MF $(@:.ptx=.d) -MT $@ $< -o $@

$(OUT)/sm_90a/%.ptx: $(KERNELS)/%.cu $(KERNELS)/ptx.mk
	@mkdir -p $(@D)
	$(CLANG) $(FLAGS) --cuda-gpu-arch=sm_90a --cuda-feature=+ptx83 -MMD -MP -MF $(@:.ptx=.d) -MT $@ $< -o $@

$(OUT)/sm_90a/%.ptx: $(KERNELS)/sm_90/%.cu $(KERNELS)/ptx.mk
	@mkdir -p $(@D)
	$(CLANG) $(FLAGS) --cuda-gpu-arch=sm_90a --cuda-feature=+ptx83 -MMD -MP -MF $(@:.ptx=.d) -MT $@ $< -o $@

-include $(PTX:.ptx=.d)
.PHONY: all
.DELETE_ON_ERROR:
