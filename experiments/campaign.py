"""The campaign: all trainings that the suite's tables want, one declared list, worked through at low priority.

    python -m experiments.campaign --minutes 170    # goes on where it was stopped, ships each training as it ends
    python -m experiments.campaign --workers 2      # two trainings at a time, each with its share of the cores
    python -m experiments.campaign --cluster auto    # on the nodes of a Ray cluster, a GPU or a core for each training
    python -m experiments.campaign --status         # of every preset and seed: steps, seconds, device, when shipped

When the networks of an entry are all there, its experiment is run, which writes its table.
"""

from common.tables import campaign

# In order: experiment, scale, seeds. Seeds of one entry advance together, so that a cut finds them equal. Pilots of
# recipes_cheng are not among them: they have done their work, and `--train` of that experiment trains them anew.
PLAN = (
    ("table1_paka", "paper", (0,)),
    ("figure5_paka", "paper", (0,)),
    ("figure6_paka", "paper", (0,)),
    ("figure7_paka", "paper", (0,)),
    ("figure8_paka", "paper", (0,)),
    ("table4_cheng", "small", (0,)),
    ("table4_cheng", "small", (1,)),
    ("table4_cheng", "small", (2,)),
    ("table1_cheng", "small", (0,)),
    ("table2_cheng", "small", (0,)),
    ("joint_cheng", "small", (0,)),
    ("table3_cheng", "small", (0,)),
    ("table5_cheng", "small", (0,)),
    ("claims_cheng", "small", (0,)),
    ("table6_cheng", "small", (0,)),
    ("table7_cheng", "small", (0,)),
    ("table1_cheng", "small", (1, 2)),
    ("table2_cheng", "small", (1, 2)),
    ("table3_cheng", "small", (1, 2)),
    ("table5_cheng", "small", (1, 2)),
)

if __name__ == "__main__":
    campaign.main(PLAN)
